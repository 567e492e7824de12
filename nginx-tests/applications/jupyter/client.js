// Has a kernel run what it is asked, by the JupyterLab of the page.
const { answerLines } = require('../shared/lines.js');
const { openPage } = require('../shared/browser.js');

const opened = (async () => {
    const browser = await openPage(`http://${process.argv[2]}/lab?token=secret`);
    await browser.page.waitForFunction(() => window.jupyterapp?.serviceManager?.isReady);
    await browser.page.evaluate(async () => {
        window.kernel = await jupyterapp.serviceManager.kernels.startNew({ name: 'python3' });
    });
    return browser;
})();
opened.catch(() => {});

const run = (text) => new Promise((resolve, reject) => {
    const execution = window.kernel.requestExecute({ code: `print('${text}'.upper())` });
    execution.onIOPub = ({ content }) => { if (content.text) resolve(content.text.trim()); };
    setTimeout(() => reject(new Error('no answer')), 5000);
});

// What was on its way as the connection ended may be lost.
answerLines(async (text) => (await opened).page.evaluate(run, text), {
    again: (error) => /no answer/.test(error),
    end: async () => (await opened).close(),
});
