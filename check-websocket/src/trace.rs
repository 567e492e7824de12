//! Which lines of nginx's logs are this program's own.

use std::net::IpAddr;

use crate::request::Request;

/// What was sent to an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// This host's address on that connection. Behind translation nginx sees another.
    pub client: IpAddr,
    pub requests: Vec<Sent>,
}

/// Requests that look the same in a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    /// As `$request` has it.
    pub line: String,
    /// As `$http_user_agent` has it.
    pub agent: String,
    pub count: u32,
}

impl Trace {
    pub fn of(client: IpAddr) -> Self {
        Self {
            client,
            requests: Vec::new(),
        }
    }

    pub fn note(&mut self, request: &Request, count: u32) {
        let (line, agent) = (request.line(), request.header("User-Agent"));
        let agent = agent.unwrap_or_default();
        let same = |sent: &&mut Sent| sent.line == line && sent.agent == agent;
        match self.requests.iter_mut().find(same) {
            Some(sent) => sent.count += count,
            None => self.requests.push(Sent {
                line,
                agent: agent.to_owned(),
                count,
            }),
        }
    }
}

impl Sent {
    /// What to look for in nginx's error log and in its access log.
    pub fn text(&self) -> String {
        let times = match self.count {
            1 => String::new(),
            count => format!(", {count} times"),
        };
        format!(
            "request \"{}\", User-Agent \"{}\"{times}",
            self.line, self.agent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_look_the_same_are_counted() {
        let request = |version| Request {
            path: "/a".to_owned(),
            version,
            headers: vec![("User-Agent".to_owned(), "check-websocket/1".to_owned())],
        };
        let mut trace = Trace::of(IpAddr::from([127, 0, 0, 1]));
        trace.note(&request("1.1"), 2);
        trace.note(&request("1.1"), 1);
        trace.note(&request("1.0").named("http-1.0"), 1);
        let texts: Vec<String> = trace.requests.iter().map(Sent::text).collect();
        assert_eq!(
            texts,
            [
                "request \"GET /a HTTP/1.1\", User-Agent \"check-websocket/1\", 3 times",
                "request \"GET /a HTTP/1.0\", User-Agent \"check-websocket/1 (http-1.0)\"",
            ]
        );
    }
}
