// Begins with polling and goes over to a WebSocket, as Socket.IO does unless told otherwise.
const { answerLines } = require('../shared/lines.js');
const { io } = require('socket.io-client');

const origin = `http://${process.argv[2]}`;
const socket = io(origin, { extraHeaders: { Origin: origin } });

const overWebSocket = () => new Promise((resolve) => {
    const look = () => {
        if (!socket.connected) return socket.once('connect', look);
        const { engine } = socket.io;
        if (engine.transport.name === 'websocket') return resolve();
        engine.once('upgrade', look);
    };
    look();
});

answerLines(async (text) => {
    await overWebSocket();
    return socket.timeout(20000).emitWithAck('say', text);
}, { again: (error) => /disconnected/.test(error) });
