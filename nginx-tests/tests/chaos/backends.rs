//! Servers behind nginx: what one does with a handshake is in the header `X-Chaos` of it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nginx_tests::Certificate;
use nginx_tests::http::Head;
use nginx_tests::wire::{Socket, Wire};
use rustix::net::{Shutdown, shutdown};

use crate::behaviours::{After, Talk};
use crate::random::Random;

/// The header that says `behaviour seed`.
pub const CHAOS: &str = "X-Chaos";
/// What passes the request on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Http,
    Https,
    Uwsgi,
    Scgi,
}

/// A server for any number of connections. It keeps nothing of those that have ended.
pub struct Backend {
    listener: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Backend {
    pub fn start(form: Form, certificate: &Certificate) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let stopping = Arc::<AtomicBool>::default();
        let acceptor = {
            let (listener, stopping) = (Arc::clone(&listener), Arc::clone(&stopping));
            let certificate = certificate.clone();
            thread::spawn(move || {
                loop {
                    let accepted = listener.accept();
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let (socket, _) = accepted.expect("a backend accepts");
                    let certificate = certificate.clone();
                    // It ends with its connection, which nginx or a deadline ends.
                    thread::spawn(move || serve(Socket::Tcp(socket), form, &certificate));
                }
            })
        };
        Self {
            listener,
            stopping,
            acceptor: Some(acceptor),
        }
    }

    pub fn address(&self) -> String {
        let address = self.listener.local_addr();
        address.expect("a listening socket has one").to_string()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = shutdown(&*self.listener, Shutdown::Both);
        let ended = self.acceptor.take().map(JoinHandle::join);
        if let (Some(Err(lost)), false) = (ended, thread::panicking()) {
            std::panic::resume_unwind(lost);
        }
    }
}

fn serve(socket: Socket, form: Form, certificate: &Certificate) -> io::Result<()> {
    let mut wire = Wire::plain(socket)?;
    if form == Form::Https {
        wire = wire.accept_tls(certificate)?;
    }
    while let Some(head) = read_request(&mut wire, form)? {
        let told = head.header(CHAOS).unwrap_or_default().to_owned();
        let (name, seed) = told.split_once(' ').unwrap_or_default();
        let name = match name {
            "" if head.target().starts_with("/accel?") => "accel",
            name => name,
        };
        let random = Random::new(seed.parse().unwrap_or_default());
        let mut talk = Talk {
            wire: &mut wire,
            head,
            scgi: form == Form::Scgi,
            random,
        };
        if talk.serve(name)? == After::Closed || matches!(form, Form::Uwsgi | Form::Scgi) {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request, if there is one; its body is read and dropped.
fn read_request(wire: &mut Wire, form: Form) -> io::Result<Option<Head>> {
    let variables = match form {
        Form::Http | Form::Https => match wire.read_message() {
            Ok(message) => return Ok(Some(message.head)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        },
        Form::Uwsgi => wire.read_uwsgi()?,
        Form::Scgi => wire.read_scgi()?,
    };
    let header = |(name, value): (&String, &String)| {
        let name = name.strip_prefix("HTTP_")?.replace('_', "-");
        Some((name, value.clone()))
    };
    Ok(Some(Head {
        start: String::new(),
        headers: variables.iter().filter_map(header).collect(),
        raw: Vec::new(),
    }))
}
