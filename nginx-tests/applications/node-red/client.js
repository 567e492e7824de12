// Posts what it is asked to a flow, and prints what the editor's debug sidebar then shows.
const { answerLines } = require('../shared/lines.js');
const { openPage, sleep, textOf } = require('../shared/browser.js');

const opened = (async () => {
    const browser = await openPage(`http://${process.argv[2]}/`);
    await browser.page.waitForFunction(() => document.querySelector('#red-ui-tab-debug-link-button'));
    await browser.page.evaluate(() => RED.sidebar.show('debug'));
    return browser;
})();

const post = (text) => fetch('/say', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ text }),
});

answerLines(async (text) => {
    const { page } = await opened;
    for (;;) {
        await page.evaluate(post, text);
        for (const until = Date.now() + 3000; Date.now() < until; await sleep(100)) {
            if ((await textOf(page)).includes(`said ${text.toUpperCase()}`)) return text.toUpperCase();
        }
    }
}, { end: async () => (await opened).close() });
