//! A name server for nginx's `resolver`.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

/// Answers whoever asks for a name that it is at 127.0.0.1.
pub fn start() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let is_ipv4 = query[..length].ends_with(b"\0\0\x01\0\x01");
            let mut answer = query[..length].to_vec();
            // It is an answer, without an error, with one record or none.
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4)]);
            if is_ipv4 {
                // The name in the question, type A, class IN, an hour, four bytes.
                answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\x7f\0\0\x01");
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}
