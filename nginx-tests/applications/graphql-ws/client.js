// Subscribes once: what it hears later comes by the same subscription, whatever became of the connection.
const { answerLines } = require('../shared/lines.js');
const { createClient } = require('graphql-ws');
const WebSocket = require('ws');

const origin = `http://${process.argv[2]}`;
class FromPage extends WebSocket {
    constructor(address, protocols) { super(address, protocols, { origin }); }
}

const client = createClient({ url: `ws://${process.argv[2]}/graphql`, webSocketImpl: FromPage });
let heard = () => {};
let failed = null;
const subscription = (async () => {
    for await (const { data } of client.iterate({ query: 'subscription { said }' })) heard(data.said);
})().catch((error) => { failed = error; });

const say = async (text) => {
    const query = 'mutation ($text: String!) { say(text: $text) }';
    for await (const _ of client.iterate({ query, variables: { text } }));
};

answerLines((text) => new Promise((resolve, reject) => {
    subscription.then(() => reject(failed || new Error('the subscription has ended')));
    // Again and again, as a subscription that is made anew may come after it.
    const repeat = setInterval(() => say(text).catch(() => {}), 200);
    heard = (answer) => {
        if (answer !== text.toUpperCase()) return;
        clearInterval(repeat);
        resolve(answer);
    };
}));
