const { Server } = require('socket.io');

new Server(Number(process.argv[2])).on('connection', (socket) => {
    socket.on('say', (text, answer) => answer(text.toUpperCase()));
});
