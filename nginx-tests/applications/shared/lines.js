// What the clients share: the server's name means this machine, and each line is a question.
const dns = require('dns');
const readline = require('readline');

// What a library has to say is no answer.
console.log = console.info = console.debug = console.error;

const lookup = dns.lookup;
dns.lookup = (name, ...rest) => lookup(name === 'app.example' ? '127.0.0.1' : name, ...rest);

// Answers each line by `ask`, one after the other, and ends by `end` where there are no more, even with a
// question under way. Where one fails because the connection is gone, a client that comes back by itself is
// asked again.
exports.answerLines = async (ask, { end = () => {}, again = () => false } = {}) => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.once('close', async () => {
        await end();
        process.exit(0);
    });
    for await (const line of lines) process.stdout.write(`${await answer(ask, line, again)}\n`);
};

const answer = async (ask, line, again) => {
    for (const until = Date.now() + 20000; ;) {
        try {
            return await ask(line);
        } catch (error) {
            if (!again(error) || Date.now() > until) return `error: ${String(error).split('\n')[0]}`;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
};
