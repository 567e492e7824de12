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

#[test]
fn bokeh() {
    check(&Application {
        title: "Bokeh",
        package: "bokeh",
        needs: &["bokeh", "node", "chromium"],
        server: "bokeh serve bokeh/app.py --address 127.0.0.1 --port %PORT% --allow-websocket-origin %AUTHORITY%",
        client: "node shared/form.js http://%AUTHORITY%/app >>>input",
        answer: str::to_uppercase,
    });
}

#[test]
fn streamlit() {
    check(&Application {
        title: "Streamlit",
        package: "streamlit",
        needs: &["streamlit", "node", "chromium"],
        server: "streamlit run streamlit/app.py --server.address 127.0.0.1 --server.port %PORT% --server.headless true --browser.serverAddress %NAME%",
        client: "node shared/form.js http://%AUTHORITY%/ input",
        answer: str::to_uppercase,
    });
}

#[test]
fn marimo() {
    check(&Application {
        title: "marimo",
        package: "marimo",
        needs: &["marimo", "node", "chromium"],
        server: "marimo run marimo/app.py --host 127.0.0.1 --port %PORT% --headless --no-token",
        client: "node shared/form.js http://%AUTHORITY%/ >>>input",
        answer: str::to_uppercase,
    });
}

#[test]
fn shiny() {
    check(&Application {
        title: "Shiny",
        package: "shiny",
        needs: &["shiny", "node", "chromium"],
        server: "shiny run shiny/app.py --host 127.0.0.1 --port %PORT%",
        client: "node shared/form.js http://%AUTHORITY%/ #text #shiny-disconnected-overlay",
        answer: str::to_uppercase,
    });
}

#[test]
fn vite() {
    check(&Application {
        title: "Vite",
        package: "vite",
        needs: &["node", "chromium"],
        server: "node vite/server.js %PORT%",
        client: "node shared/form.js http://%AUTHORITY%/ input",
        answer: str::to_uppercase,
    });
}

#[test]
fn node_red() {
    check(&Application {
        title: "Node-RED",
        package: "node-red",
        needs: &["node", "chromium"],
        server: "sh node-red/server.sh node-red/red.js node-red/flows.json %PORT%",
        client: "node node-red/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    });
}

#[test]
fn novnc() {
    check(&Application {
        title: "noVNC",
        package: "novnc",
        needs: &["websockify", "Xvnc", "tigervncconfig", "node", "chromium"],
        server: "sh novnc/server.sh %PORT%",
        client: "node novnc/client.js %AUTHORITY% %PORT%",
        answer: str::to_owned,
    });
}

#[test]
fn chrome_devtools() {
    check(&Application {
        title: "Chrome DevTools",
        package: "chromium",
        needs: &["node", "chromium"],
        server: "sh devtools/server.sh %PORT%",
        client: "node devtools/client.js %AUTHORITY% %PORT%",
        answer: str::to_uppercase,
    });
}

#[test]
fn jupyter() {
    check(&Application {
        title: "Jupyter",
        package: "jupyterlab",
        needs: &["jupyter-lab", "node", "chromium"],
        server: "jupyter-lab --allow-root --no-browser --ip=127.0.0.1 --port=%PORT% --IdentityProvider.token=secret --ServerApp.allow_remote_access=True --LabApp.expose_app_in_browser=True",
        client: "node jupyter/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    });
}
