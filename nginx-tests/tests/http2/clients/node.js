// Node's own http2: opens tunnels on one connection, sends messages of these sizes on each and wants them back, closes,
// and asks for something plain. Prints what became of each.
const http2 = require('http2');
const [, , address, count, ...sizes] = process.argv;

function frame(opcode, payload) {
  const key = Buffer.from([1, 2, 3, 4]);
  const length = payload.length;
  let head = Buffer.from([0x80 | opcode, 0x80 | length]);
  if (length > 0xffff) {
    head = Buffer.alloc(10);
    head[1] = 0xff;
    head.writeBigUInt64BE(BigInt(length), 2);
  } else if (length > 125) {
    head = Buffer.alloc(4);
    head[1] = 0xfe;
    head.writeUInt16BE(length, 2);
  }
  head[0] = 0x80 | opcode;
  return Buffer.concat([head, key, payload.map((byte, at) => byte ^ key[at & 3])]);
}

// The first frame of some bytes, and what is behind it.
function parse(bytes) {
  if (bytes.length < 2) return null;
  let [length, from] = [bytes[1] & 127, 2];
  if (length === 126) {
    if (bytes.length < 4) return null;
    [length, from] = [bytes.readUInt16BE(2), 4];
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    [length, from] = [Number(bytes.readBigUInt64BE(2)), 10];
  }
  if (bytes.length < from + length) return null;
  return { opcode: bytes[0] & 15, payload: bytes.subarray(from, from + length), rest: bytes.subarray(from + length) };
}

function tunnel(session, number) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', 'sec-websocket-version': '13',
    });
    const expected = sizes.map((size) => Buffer.alloc(Number(size), number));
    let [received, place, code] = [Buffer.alloc(0), 0, 0];
    const next = () => stream.write(place < expected.length ? frame(2, expected[place]) : frame(8, Buffer.from([3, 0xe8])));
    stream.on('response', (head) => (head[':status'] === 200 ? next() : reject(head[':status'])));
    stream.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      for (let got; (got = parse(received)); received = got.rest) {
        if (got.opcode === 8) {
          code = got.payload.readUInt16BE(0);
          stream.end();
        } else if (!got.payload.equals(expected[place++])) {
          reject(`message ${place} is another`);
        } else {
          next();
        }
      }
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(`${number} ${place} ${code} ${stream.rstCode}`));
  });
}

function plain(session) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/plain' });
    let body = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => (body += text));
    stream.on('end', () => resolve(body));
    stream.on('error', reject);
  });
}

const session = http2.connect(address, { rejectUnauthorized: false });
session.on('error', (error) => { throw error; });
session.setTimeout(30000, () => { throw new Error('nginx has nothing more to say'); });
session.on('remoteSettings', async (settings) => {
  // nginx's own come first.
  if (!settings.enableConnectProtocol) return;
  session.removeAllListeners('remoteSettings');
  const numbers = [...Array(Number(count)).keys()];
  const lines = await Promise.all([...numbers.map((number) => tunnel(session, number)), plain(session)]);
  console.log(lines.join('\n'));
  session.close();
});
