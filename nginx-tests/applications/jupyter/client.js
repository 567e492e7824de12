// Has a kernel run what it is asked, by JupyterLab's own client.
const { answerLines } = require('../shared/lines.js');
const { KernelManager, ServerConnection } = require('@jupyterlab/services');
const WebSocket = require('ws');

const origin = `http://${process.argv[2]}`;
class FromPage extends WebSocket {
    constructor(address, protocols) { super(address, protocols, { origin }); }
}

const opened = (async () => {
    const serverSettings = ServerConnection.makeSettings({
        baseUrl: origin,
        wsUrl: origin.replace('http', 'ws'),
        token: 'secret',
        appendToken: true,
        WebSocket: FromPage,
    });
    const manager = new KernelManager({ serverSettings });
    return manager.startNew({ name: 'python3' });
})();
opened.catch(() => {});

const run = (kernel, text) => {
    const execution = kernel.requestExecute({ code: `print('${text}'.upper())` });
    return new Promise((resolve, reject) => {
        execution.onIOPub = ({ content }) => { if (content.text) resolve(content.text.trim()); };
        setTimeout(() => reject(new Error('no answer')), 5000);
    });
};

// What was on its way as the connection ended may be lost.
answerLines(async (text) => run(await opened, text), { again: (error) => /no answer/.test(error) });
