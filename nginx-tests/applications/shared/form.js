// Types what it is asked into a page, and prints what the page then says.
//
// Usage: form.js ADDRESS INPUT [GONE]
// INPUT selects where to type; GONE selects what the page shows when it has given its connection up.
const { answerLines } = require('./lines.js');
const { openPage, sleep, textOf } = require('./browser.js');

const [address, input, gone] = process.argv.slice(2);
const opened = openPage(address);

const enter = async (page, text) => {
    const field = await page.waitForSelector(input);
    await field.click({ count: 3 });
    await field.type(text);
    await page.keyboard.press('Enter');
};

answerLines(async (text) => {
    const { page } = await opened;
    // What is typed while there is no connection may be lost. The same once more would be no change.
    for (let typed = text; ; typed += '.') {
        // The page may be building itself anew.
        await enter(page, typed).catch(() => {});
        for (const until = Date.now() + 3000; Date.now() < until; await sleep(100)) {
            const says = await textOf(page).catch(() => '');
            if (says.includes(`said ${text.toUpperCase()}`)) return text.toUpperCase();
            if (gone && await page.$(gone)) throw new Error('the page has given up');
        }
    }
}, { end: async () => (await opened).close() });
