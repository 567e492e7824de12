//! A headless Chromium, driven by the DevTools protocol.
//!
//! What it logs, throws and asks for is recorded from the start, so that a test can say there was none.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::environment::find_program;
use crate::wait::{DEADLINE, wait_within};

/// A browser with one page.
pub struct Browser {
    process: Child,
    profile: TempDir,
    devtools: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    /// What the console shows: messages of the page, exceptions, and what the browser has to say itself,
    /// such as what a policy refused.
    pub console: Vec<String>,
    /// Every address that was asked for.
    pub requests: Vec<String>,
}

impl Browser {
    /// Starts the browser with an empty page. `None` where there is no Chromium.
    pub fn start() -> Option<Self> {
        let chromium = find_program("chromium")?;
        let profile = tempfile::tempdir().expect("a profile directory");
        let process = spawn(&chromium, profile.path());
        let devtools = connect(profile.path());
        let mut browser = Self {
            process,
            profile,
            devtools,
            session: String::new(),
            calls: 0,
            console: Vec::new(),
            requests: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = text(&session["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Goes to an address and waits until its document is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(gone["errorText"], Value::Null, "{url}");
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.evaluated(expression);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, or anything that counts as that, and gives it. Whatever it throws
    /// meanwhile counts as false.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) -> Value {
        let mut last = Value::Null;
        let found = wait_within(*DEADLINE * 3, || {
            last = self.evaluated(expression)["result"]["value"].clone();
            is_true(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| {
            let page = self.eval("document.body.innerText");
            panic!(
                "waited for {expression}, which is {last}, in\n{}",
                text(&page)
            )
        })
    }

    fn evaluated(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        self.call("Runtime.evaluate", asked)
    }

    /// Clicks with the mouse in the middle of the first element that a selector finds.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let found = json!(selector);
        let place = self.wait(&format!(
            "(() => {{ const node = document.querySelector({found}); node.scrollIntoView({{block: 'center'}}); \
             const box = node.getBoundingClientRect(); \
             return box.width && !node.disabled && [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key, such as `Enter` or `Tab`.
    pub fn press(&mut self, key: &str) {
        let (code, typed) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            _ => panic!("{key} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { typed } else { "" };
            let event =
                json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The size of the window, in CSS pixels, and the colours that the user prefers: `light` or `dark`.
    pub fn emulate(&mut self, width: u32, height: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// What is in the window, as a PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let taken = self.call("Page.captureScreenshot", json!({"format": "png"}));
        from_base64(&text(&taken["data"]))
    }

    /// Calls a method of the protocol and gives its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let sent = self.devtools.send(Message::text(message.to_string()));
        sent.expect("the browser takes a message");
        loop {
            let answer = self.devtools.read().expect("the browser answers");
            let Message::Text(answer) = answer else {
                continue;
            };
            let answer: Value = serde_json::from_str(&answer).expect("the protocol is JSON");
            if answer["id"] == json!(self.calls) {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let of = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.consoleAPICalled") => self.console.push(of["args"].to_string()),
            Some("Runtime.exceptionThrown") => {
                self.console.push(of["exceptionDetails"].to_string())
            }
            Some("Log.entryAdded") => self.console.push(of["entry"].to_string()),
            Some("Network.requestWillBeSent") => self.requests.push(text(&of["request"]["url"])),
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        let _ = kill_process(pid.expect("a pid"), Signal::TERM);
        let _ = self.process.wait();
        // Its children may still be writing there; the directory goes with them.
        let _ = wait_within(*DEADLINE, || fs::remove_dir_all(self.profile.path()).ok());
    }
}

fn spawn(chromium: &Path, profile: &Path) -> Child {
    Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
        .args([
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            // Those of the tests are signed by nobody.
            "--ignore-certificate-errors",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-sync", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium runs")
}

/// It writes where it listens into its profile. A browser takes seconds to start, and more on a busy
/// machine.
fn connect(profile: &Path) -> WebSocket<TcpStream> {
    let told = wait_within(*DEADLINE * 6, || {
        let told = fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
        let (port, path) = told.split_once('\n')?;
        path.starts_with('/')
            .then(|| format!("127.0.0.1:{port}{path}"))
    });
    let address = told.expect("chromium says where it listens");
    let (host, _) = address.split_once('/').expect("a path");
    let socket = TcpStream::connect(host).expect("chromium accepts");
    socket.set_nodelay(true).expect("a socket");
    let limit = Some(*DEADLINE * 6);
    socket.set_read_timeout(limit).expect("a socket");
    let (devtools, _) =
        tungstenite::client(format!("ws://{address}"), socket).expect("chromium speaks WebSocket");
    devtools
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// As JavaScript has it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for six in text.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
