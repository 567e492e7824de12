// A headless Chromium for applications whose client is a page.
const fs = require('fs');
const path = require('path');
const puppeteer = require('puppeteer-core');

const inPath = (name) => process.env.PATH.split(':').map((dir) => path.join(dir, name)).find(fs.existsSync);

// The page at this address; `close` ends the browser.
exports.openPage = async (address) => {
    const browser = await puppeteer.launch({
        executablePath: inPath('chromium'),
        pipe: true,
        args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--host-resolver-rules=MAP app.example 127.0.0.1'],
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(60000);
    const answer = await page.goto(address, { waitUntil: 'domcontentloaded' });
    if (!answer.ok()) throw new Error(`the page was answered ${answer.status()}`);
    return { page, close: () => browser.close() };
};

// All that the page says, in shadow trees too.
exports.textOf = (page) => page.evaluate(() => {
    const text = (node) => node.nodeType === Node.TEXT_NODE
        ? node.data
        : [node.shadowRoot, ...node.childNodes].filter(Boolean).map(text).join(' ');
    return text(document.body);
});

exports.sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
