//! Tunnels through an nginx, from both their ends.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::backend::{Conn, switching_protocols};
use crate::http::Head;
use crate::{Client, Handshake, Nginx, ScriptedBackend};

/// A client in a tunnel of its own.
#[track_caller]
pub fn join(nginx: &Nginx) -> Client {
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client
}

/// A backend that accepts every handshake and then does this.
pub fn backend(
    script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
) -> ScriptedBackend {
    ScriptedBackend::start(move |conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        script(conn)
    })
}

/// A tunnel as the two sockets at its ends.
pub fn raw_tunnel(nginx: &Nginx, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(("127.0.0.1", nginx.port())).unwrap();
    client.write_all(&Handshake::new("/").bytes()).unwrap();
    let backend = accept(listener);
    read_head(&mut client);
    (client, backend)
}

/// The end of a tunnel at the upstream's side.
pub fn accept(listener: &TcpListener) -> TcpStream {
    let (mut backend, _) = listener.accept().unwrap();
    let request = read_head(&mut backend);
    // Over HTTP/2 the key is nginx's own.
    let key = request.header("Sec-WebSocket-Key").unwrap();
    backend
        .write_all(switching_protocols(key).as_bytes())
        .unwrap();
    backend
}

/// The head of what comes.
pub fn read_head(socket: &mut TcpStream) -> Head {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    Head::parse(bytes)
}
