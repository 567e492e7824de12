//! The client's side of TLS, which never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

pub struct TlsStream {
    socket: Rc<TcpStream>,
    session: ClientConnection,
    /// Read from the socket and not yet taken by the session, which takes 4 KB at a time.
    received: Vec<u8>,
    taken: usize,
    end: usize,
}

impl TlsStream {
    pub fn new(socket: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        Ok(Self {
            socket: Rc::new(socket),
            session,
            received: Vec::new(),
            taken: 0,
            end: 0,
        })
    }

    pub const fn socket(&self) -> &Rc<TcpStream> {
        &self.socket
    }

    /// What the other side has chosen of those that were offered.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Closed without a close_notify.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if self.taken == self.end {
                self.receive()?;
            }
            let mut rest = &self.received[self.taken..self.end];
            self.taken += self.session.read_tls(&mut rest)?;
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
            if self.session.wants_write() {
                self.flush()?;
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        const AT_ONCE: usize = 32 << 10;
        self.received.resize(AT_ONCE, 0);
        self.end = (&*self.socket).read(&mut self.received)?;
        self.taken = 0;
        Ok(())
    }

    pub fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let written = self.session.writer().write(from)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut &*self.socket)?;
        }
        Ok(())
    }

    /// Tells the other side that no more will come.
    pub fn finish(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)
    }
}
