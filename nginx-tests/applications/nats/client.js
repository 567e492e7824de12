// Publishes what it is asked, and prints what the server delivers to its subscription.
const { answerLines } = require('../shared/lines.js');
const WebSocket = require('ws');

const origin = `http://${process.argv[2]}`;
globalThis.WebSocket = class extends WebSocket {
    constructor(address, protocols) { super(address, protocols, { origin }); }
};
const { connect, StringCodec } = require('nats.ws');

const codec = StringCodec();
let connection = null;
let heard = () => {};

const open = async () => {
    connection = await connect({ servers: `ws://${process.argv[2]}`, reconnectTimeWait: 200 });
    const subscription = connection.subscribe('said');
    (async () => { for await (const message of subscription) heard(codec.decode(message.data)); })();
    await connection.flush();
};

answerLines(async (text) => {
    if (!connection) await open();
    const answer = new Promise((resolve) => { heard = resolve; });
    await connection.flush();
    connection.publish('said', codec.encode(text));
    return answer;
}, { end: () => connection?.close(), again: (error) => /DISCONNECT/.test(error) });
