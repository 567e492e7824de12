//! The applications, one by one.
//!
//! A command begins with a program. Then `%PORT%` is the port for the application to listen on,
//! `%NAME%` the name of nginx's server as clients know it, `%AUTHORITY%` that with nginx's port, and a
//! word with a slash may be a file of `nginx-tests/applications` or of `node_modules`.

use crate::check::check;
use crate::page::titles;

pub struct Application {
    /// Its section in the page.
    pub title: &'static str,
    /// Whose version the page gives.
    pub package: &'static str,
    /// The programs that must be there, and the packages of `node_modules`.
    pub needs: &'static [&'static str],
    pub server: &'static str,
    /// What prints the answer to each line that it reads, or `error: ` and why there is none.
    pub client: &'static str,
    /// The answer that only the application gives.
    pub answer: fn(&str) -> String,
}

/// A test for each application, and the list of their sections.
macro_rules! applications {
    ($($name:ident: $title:literal { $($field:ident: $value:expr,)* })*) => {
        $(
            #[test]
            fn $name() {
                check(&Application { title: $title, $($field: $value,)* });
            }
        )*

        const TITLES: &[&str] = &[$($title),*];
    };
}

/// No row of the page says what nobody has tried.
#[test]
fn every_row_of_the_page_is_tried() {
    assert_eq!(titles(), TITLES);
}

applications! {
    bokeh: "Bokeh" {
        package: "bokeh",
        needs: &["bokeh", "node", "node_modules/puppeteer-core", "chromium"],
        server: "bokeh serve bokeh/app.py --address 127.0.0.1 --port %PORT%",
        client: "node shared/form.js http://%AUTHORITY%/app >>>input",
        answer: str::to_uppercase,
    }
    chrome_devtools: "Chrome DevTools" {
        package: "chromium",
        needs: &["node", "node_modules/puppeteer-core", "chromium"],
        server: "sh devtools/server.sh %PORT%",
        client: "node devtools/client.js %AUTHORITY% %PORT%",
        answer: str::to_uppercase,
    }
    django_channels: "Django Channels" {
        package: "channels",
        needs: &["daphne"],
        server: "python channels/server.py %PORT% %NAME%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws/",
        answer: str::to_uppercase,
    }
    fastapi: "FastAPI" {
        package: "fastapi",
        needs: &["venv/bin/python"],
        server: "python fastapi/server.py %PORT%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws",
        answer: str::to_uppercase,
    }
    graphql_ws: "graphql-ws" {
        package: "graphql-ws",
        needs: &["node", "node_modules/graphql-ws"],
        server: "node graphql-ws/server.js %PORT%",
        client: "node graphql-ws/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    }
    jupyter: "Jupyter" {
        package: "jupyterlab",
        needs: &["jupyter-lab", "node", "node_modules/puppeteer-core", "chromium"],
        server: "jupyter-lab --allow-root --no-browser --ip=127.0.0.1 --port=%PORT% --IdentityProvider.token=secret --ServerApp.allow_remote_access=True --LabApp.expose_app_in_browser=True",
        client: "node jupyter/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    }
    marimo: "marimo" {
        package: "marimo",
        needs: &["marimo", "node", "node_modules/puppeteer-core", "chromium"],
        server: "marimo run marimo/app.py --host 127.0.0.1 --port %PORT% --headless --no-token",
        client: "node shared/form.js http://%AUTHORITY%/ >>>input",
        answer: str::to_uppercase,
    }
    mqtt: "MQTT" {
        package: "mosquitto",
        needs: &["mosquitto", "venv/bin/python"],
        server: "sh mqtt/server.sh %PORT%",
        client: "python mqtt/client.py %AUTHORITY%",
        answer: str::to_owned,
    }
    nats: "NATS" {
        package: "nats-server",
        needs: &["nats-server", "node", "node_modules/nats.ws"],
        server: "sh nats/server.sh %PORT%",
        client: "node nats/client.js %AUTHORITY%",
        answer: str::to_owned,
    }
    node_red: "Node-RED" {
        package: "node-red",
        needs: &["node", "node_modules/puppeteer-core", "chromium"],
        server: "sh node-red/server.sh node-red/red.js node-red/flows.json %PORT%",
        client: "node node-red/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    }
    novnc: "noVNC" {
        package: "novnc",
        needs: &["websockify", "Xvnc", "tigervncconfig", "node", "node_modules/puppeteer-core", "chromium"],
        server: "sh novnc/server.sh %PORT%",
        client: "node novnc/client.js %AUTHORITY% %PORT%",
        answer: str::to_owned,
    }
    shiny: "Shiny" {
        package: "shiny",
        needs: &["shiny", "node", "node_modules/puppeteer-core", "chromium"],
        server: "shiny run shiny/app.py --host 127.0.0.1 --port %PORT%",
        client: "node shared/form.js http://%AUTHORITY%/ #text #shiny-disconnected-overlay",
        answer: str::to_uppercase,
    }
    socket_io: "Socket.IO" {
        package: "socket.io",
        needs: &["node", "node_modules/socket.io"],
        server: "node socket.io/server.js %PORT%",
        client: "node socket.io/client.js %AUTHORITY%",
        answer: str::to_uppercase,
    }
    streamlit: "Streamlit" {
        package: "streamlit",
        needs: &["streamlit", "node", "node_modules/puppeteer-core", "chromium"],
        server: "streamlit run streamlit/app.py --server.address 127.0.0.1 --server.port %PORT% --server.headless true --browser.serverAddress %NAME%",
        client: "node shared/form.js http://%AUTHORITY%/ input",
        answer: str::to_uppercase,
    }
    tornado: "Tornado" {
        package: "tornado",
        needs: &["venv/bin/python"],
        server: "python tornado/server.py %PORT%",
        client: "python shared/plain_websocket.py %AUTHORITY% /ws",
        answer: str::to_uppercase,
    }
    vite: "Vite" {
        package: "vite",
        needs: &["node", "node_modules/puppeteer-core", "chromium"],
        server: "node vite/server.js %PORT%",
        client: "node shared/form.js http://%AUTHORITY%/ input",
        answer: str::to_uppercase,
    }
}
