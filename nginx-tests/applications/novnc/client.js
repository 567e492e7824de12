// Names the display as it is asked, and prints the name that noVNC's page then has in its title.
//
// Usage: client.js HOST:PORT DISPLAY_PORT
const { execFileSync } = require('child_process');
const { answerLines } = require('../shared/lines.js');
const { openPage, sleep } = require('../shared/browser.js');

const [authority, port] = process.argv.slice(2);
const settings = 'autoconnect=true&reconnect=true&reconnect_delay=500';
const opened = openPage(`http://${authority}/vnc.html?${settings}`);

answerLines(async (text) => {
    const { page } = await opened;
    for (;; await sleep(100)) {
        execFileSync('tigervncconfig', ['-display', `:${port - 2000}`, '-set', `desktop=${text}`]);
        if ((await page.title()).startsWith(text)) return text;
    }
}, { end: async () => (await opened).close() });
