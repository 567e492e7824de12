// Has the browser that it debugs evaluate what it is asked.
const { answerLines } = require('../shared/lines.js');
const puppeteer = require('puppeteer-core');

const opened = (async () => {
    const version = await (await fetch(`http://127.0.0.1:${process.argv[3]}/json/version`)).json();
    const { pathname } = new URL(version.webSocketDebuggerUrl);
    const browser = await puppeteer.connect({ browserWSEndpoint: `ws://${process.argv[2]}${pathname}` });
    return { browser, page: await browser.newPage() };
})();
opened.catch(() => {});

answerLines(async (text) => {
    const { browser, page } = await opened;
    if (!browser.connected) throw new Error('disconnected');
    return page.evaluate((said) => said.toUpperCase(), text);
}, { end: async () => (await opened).browser.disconnect() });
