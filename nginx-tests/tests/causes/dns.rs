//! A name server that knows one answer.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// The codes of answers without addresses.
pub const SERVER_FAILURE: u8 = 2;
pub const NO_SUCH_NAME: u8 = 3;

/// Answers every question with one of these codes, on a port of 127.0.0.1.
pub struct NameServer {
    port: u16,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    pub fn answering(code: u8) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let stopping = Arc::clone(&stopping);
            thread::spawn(move || {
                let mut question = [0; 512];
                while let Ok((length, asker)) = socket.recv_from(&mut question) {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Some(answer) = answer(&question[..length], code) {
                        let _ = socket.send_to(&answer, asker);
                    }
                }
            })
        };
        Self {
            port,
            stopping,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            let _ = socket.send_to(&[0], ("127.0.0.1", self.port));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The question again, marked as an answer (RFC 1035 section 4.1.1).
fn answer(question: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut answer = question.to_vec();
    let header = answer.first_chunk_mut::<12>()?;
    header[2] |= 0x80;
    header[3] = 0x80 | code;
    Some(answer)
}
