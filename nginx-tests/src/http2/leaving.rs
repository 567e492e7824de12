//! How a socket is left whose tunnel is over.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long a client that has been told of the end is listened to.
pub const LINGERS: Duration = Duration::from_secs(1);

/// Reads what still comes, until it ends or the time is over.
pub fn linger(mut client: &TcpStream) -> io::Result<()> {
    let since = Instant::now();
    let mut chunk = [0; 16 << 10];
    while let Some(left) = LINGERS
        .checked_sub(since.elapsed())
        .filter(|left| !left.is_zero())
    {
        client.set_read_timeout(Some(left))?;
        if client.read(&mut chunk)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Breaks a connection with a TCP reset as soon as nobody has it any more.
pub fn reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Both);
}
