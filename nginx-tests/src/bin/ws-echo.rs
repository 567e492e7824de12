//! `ws-echo ADDR`: a WebSocket server that sends every message back, until it is ended.

use std::net::TcpListener;
use std::process::ExitCode;
use std::{env, io, thread};

use nginx_tests::backend::echo;

fn main() -> ExitCode {
    let Some(address) = env::args().nth(1) else {
        eprintln!("usage: ws-echo ADDR, such as ws-echo 127.0.0.1:9000");
        return ExitCode::from(2);
    };
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ws-echo: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        thread::spawn(move || {
            if let Ok(socket) = tungstenite::accept(socket) {
                let _ = echo(socket);
            }
        });
    }
}
