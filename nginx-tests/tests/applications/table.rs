//! The applications, one by one.
//!
//! A command begins with a program. Then `%PORT%` is the port for the application to listen on,
//! `%NAME%` the name of nginx's server as clients know it, `%AUTHORITY%` that with nginx's port, and a
//! word with a slash may be a file of `nginx-tests/applications` or of `node_modules`.

use crate::check::check;

pub struct Application {
    /// Its section in the page.
    pub title: &'static str,
    /// Whose version the page gives.
    pub package: &'static str,
    /// The programs that must be there.
    pub needs: &'static [&'static str],
    pub server: &'static str,
    /// What prints the answer to each line that it reads, or `error: ` and why there is none.
    pub client: &'static str,
    /// The answer that only the application gives.
    pub answer: fn(&str) -> String,
}

#[test]
fn socket_io() {
    check(&Application {
        title: "Socket.IO",
        package: "socket.io",
        needs: &["node"],
        server: "node socket.io/server.js %PORT%",
        client: "node socket.io/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    });
}

#[test]
fn graphql_ws() {
    check(&Application {
        title: "graphql-ws",
        package: "graphql-ws",
        needs: &["node"],
        server: "node graphql-ws/server.js %PORT%",
        client: "node graphql-ws/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    });
}

#[test]
fn fastapi() {
    check(&Application {
        title: "FastAPI",
        package: "fastapi",
        needs: &["uvicorn"],
        server: "python fastapi/server.py %PORT%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws",
        answer: str::to_uppercase,
    });
}

#[test]
fn tornado() {
    check(&Application {
        title: "Tornado",
        package: "tornado",
        needs: &["uvicorn"],
        server: "python tornado/server.py %PORT%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws",
        answer: str::to_uppercase,
    });
}

#[test]
fn django_channels() {
    check(&Application {
        title: "Django Channels",
        package: "channels",
        needs: &["daphne"],
        server: "python channels/server.py %PORT% %NAME%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws/",
        answer: str::to_uppercase,
    });
}

#[test]
fn mqtt() {
    check(&Application {
        title: "MQTT",
        package: "mosquitto",
        needs: &["mosquitto", "uvicorn"],
        server: "sh mqtt/server.sh %PORT%",
        client: "python mqtt/client.py %AUTHORITY%",
        answer: str::to_owned,
    });
}

#[test]
fn nats() {
    check(&Application {
        title: "NATS",
        package: "nats-server",
        needs: &["nats-server", "node"],
        server: "sh nats/server.sh %PORT%",
        client: "node nats/client.js %AUTHORITY%",
        answer: str::to_owned,
    });
}
