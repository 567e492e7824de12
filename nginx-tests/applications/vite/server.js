const { createServer } = require('vite');

// Custom events go over the same WebSocket as the updates of modules.
const say = {
    name: 'say',
    configureServer({ ws }) {
        ws.on('say', (text, client) => client.send('said', text.toUpperCase()));
    },
};

createServer({
    root: __dirname,
    configFile: false,
    cacheDir: process.cwd(),
    plugins: [say],
    server: { host: '127.0.0.1', port: Number(process.argv[2]), strictPort: true },
}).then((server) => server.listen());
