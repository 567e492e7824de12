//! nginx can't reach the upstream because of its own machine.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::case::{Case, ask, causes};

const PROXY: &str = "location / { proxy_pass http://%BACKEND%; }";

causes! {
    worker_connections_exhausted: WorkerConnectionsExhausted = {
        // One for the port, one for the master, one for the client.
        Case::server(format!("websocket_drain off; {PROXY}"))
            .backend(ScriptedBackend::standard())
            .with(|setup| setup.events("worker_connections 3;").allow_log("are not enough"))
            .not_over_http2("a stream takes no connection from nginx, but one of its own")
            .failed(500, "3 worker_connections are not enough")
    }

    too_many_open_files: TooManyOpenFiles = {
        Case::server(format!("{PROXY} location /ready {{ websocket off; return 204; }}"))
            .backend(ScriptedBackend::standard())
            .with(|setup| setup.allow_log("socket() failed (24: "))
            .act(|nginx, _| {
                let mut client = Client::connect(nginx.port());
                assert_eq!(client.exchange(&Handshake::plain("/ready")).status(), 204);
                no_more_files(nginx);
                Some(client.ask(&Handshake::new("/")).status())
            })
            .failed(500, "socket() failed (24: Too many open files)")
    }

    local_ports_exhausted: LocalPortsExhausted = {
        connecting("http://127.0.0.1:%CLOSED_PORT%", 99)
            .failed(502, "connect() to 127.0.0.1:# failed (99: Cannot assign requested address)")
    }

    local_ports_exhausted_where_there_is_one: LocalPortsExhausted = {
        Case::server("location / { proxy_pass http://%BACKEND%; proxy_bind 127.0.0.1:%PORT2%; }")
            .backend(ScriptedBackend::standard())
            .with(|setup| setup.allow_log("(98: "))
            .act(|nginx, _| {
                let mut first = Client::connect(nginx.port());
                first.establish("/first");
                Some(ask(nginx, "/").status())
            })
            .instead_of(502)
            .failed(500, "bind(127.0.0.1:#) failed (98: Address already in use)")
    }

    upstream_unreachable_without_an_address: UpstreamUnreachable = {
        connecting("http://[::1]:%CLOSED_PORT%", 99)
            .failed(502, "connect() to [::1]:# failed (99: Cannot assign requested address)")
    }

    connect_forbidden: ConnectForbidden = {
        connecting("http://127.0.0.1:%CLOSED_PORT%", 13)
            .failed(502, "connect() to 127.0.0.1:# failed (13: Permission denied)")
    }

    connect_forbidden_by_a_firewall: ConnectForbidden = {
        connecting("http://127.0.0.1:%CLOSED_PORT%", 1)
            .failed(502, "connect() to 127.0.0.1:# failed (1: Operation not permitted)")
    }

    upstream_unreachable_by_a_socket_s_permissions: UpstreamUnreachable = {
        connecting("http://unix:%PREFIX%/closed.sock", 13)
            .failed(502, "connect() to unix:*/closed.sock failed (13: Permission denied)")
    }
}

/// Takes the worker's room for more files than it has.
fn no_more_files(nginx: &Nginx) {
    let worker = nginx.worker_pids()[0];
    let files = format!("/proc/{worker}/fd");
    let is_free = |number: &u64| !Path::new(&files).join(number.to_string()).exists();
    let free = (0..).find(is_free).expect("some number is free");
    let limit = Rlimit {
        current: Some(free),
        maximum: Some(free),
    };
    let pid = i32::try_from(worker).ok().and_then(Pid::from_raw);
    prlimit(pid, Resource::Nofile, limit).expect("a limit of the worker's");
}

/// A system on which nginx's connections to upstreams fail so.
fn connecting(upstream: &str, error: i32) -> Case {
    let case = Case::server(format!("location / {{ proxy_pass {upstream}; }}")).preloads();
    case.with(|setup| {
        compile(&setup.path("connect.so"), error);
        let preload = setup.inside("connect.so").display().to_string();
        setup
            .environment("LD_PRELOAD", preload)
            .allow_log(&format!("failed ({error}: "))
    })
}

/// Compiles a `connect()` that fails. Nothing else of nginx's calls it.
fn compile(library: &Path, error: i32) {
    let source = format!(
        "extern int *__errno_location(void);
        int connect(int socket, const void *address, unsigned length)
        {{ *__errno_location() = {error}; return -1; }}"
    );
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o"])
        .arg(library)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler, as for building the module");
    let input = compiler.stdin.take();
    input
        .expect("a pipe")
        .write_all(source.as_bytes())
        .expect("the compiler reads");
    assert!(compiler.wait().expect("the compiler ends").success());
}
