//! Tunnels through an nginx, from both their ends.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustls::{ServerConnection, StreamOwned};

use crate::backend::{Conn, switching_protocols};
use crate::http::Head;
use crate::{Certificate, Client, DEADLINE, Handshake, Nginx, ScriptedBackend, wait_until};

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

/// The client of a tunnel which has not taken all that its upstream sent, a Close at the end, and a reset behind it: it
/// had not read all itself. With that, what was sent, and the nginx, which is started with this configuration.
#[track_caller]
pub fn left_by_a_reset(
    http: &str,
    certificate: Option<&Certificate>,
) -> (Nginx, TcpStream, Vec<u8>) {
    const LISTEN: &str = "listen 127.0.0.1:%PORT%";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Little room for the client.
    let nginx = Nginx::http(http.replace(LISTEN, &format!("{LISTEN} sndbuf=8k")))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let mut client = TcpStream::connect(("127.0.0.1", nginx.port())).unwrap();
    client.write_all(&Handshake::new("/").bytes()).unwrap();
    let (socket, mut backend) = accept_over(&listener, certificate);
    read_head(&mut client);
    set_socket_recv_buffer_size(&client, 4 << 10).unwrap();
    // More than the client's two sockets and a buffer hold, and less than there is room for before them.
    let frame = [&b"\x82\x7e\x04\x00"[..], &[7; 0x400]].concat();
    // nginx takes less at once over TLS.
    let count = if certificate.is_some() { 70 } else { 130 };
    let sent = [frame.repeat(count), b"\x88\x02\x03\xe8".to_vec()].concat();
    backend.write_all(&sent).unwrap();
    wait_until("nginx's socket to have all", || {
        unacknowledged(&socket) == 0
    });
    client.write_all(b"\x89\x80\0\0\0\0").unwrap();
    socket.set_read_timeout(Some(*DEADLINE)).unwrap();
    assert!(socket.peek(&mut [0]).unwrap() > 0);
    (nginx, client, sent)
}

/// Asserts that this comes to a client, and then the end.
#[track_caller]
pub fn assert_gets(mut client: TcpStream, sent: &[u8]) {
    let mut received = vec![];
    client.set_read_timeout(Some(*DEADLINE)).unwrap();
    let end = client.read_to_end(&mut received);
    let is_all = received == sent;
    assert_eq!((received.len(), is_all), (sent.len(), true), "{end:?}");
}

/// The end of a tunnel at the upstream's side.
pub fn accept(listener: &TcpListener) -> TcpStream {
    accept_over(listener, None).0
}

/// What goes over a socket, as it is or over TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Likewise, over TLS with a certificate.
fn accept_over(
    listener: &TcpListener,
    certificate: Option<&Certificate>,
) -> (TcpStream, Box<dyn Stream>) {
    let (socket, _) = listener.accept().unwrap();
    let other = socket.try_clone().unwrap();
    let mut backend: Box<dyn Stream> = match certificate {
        Some(certificate) => {
            let tls = ServerConnection::new(certificate.server_config()).unwrap();
            Box::new(StreamOwned::new(tls, other))
        }
        None => Box::new(other),
    };
    let request = read_head(&mut backend);
    // Over HTTP/2 the key is nginx's own.
    let key = request.header("Sec-WebSocket-Key").unwrap();
    backend
        .write_all(switching_protocols(key).as_bytes())
        .unwrap();
    (socket, backend)
}

/// The head of what comes.
pub fn read_head(socket: &mut impl Read) -> Head {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    Head::parse(bytes)
}

/// How much the kernel has of what was written to a socket, and the peer's has not.
pub fn unacknowledged(socket: &TcpStream) -> u64 {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let local = port(socket.local_addr().unwrap());
    let peer = port(socket.peer_addr().unwrap());
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let queue = sockets.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_it = fields.next()?.ends_with(&local) && fields.next()?.ends_with(&peer);
        let (unsent, _) = fields.nth(1)?.split_once(':')?;
        is_it.then(|| u64::from_str_radix(unsent, 16).unwrap())
    });
    queue.expect("an open socket")
}
