//! What to change, chosen by what was seen.

use memchr::{memmem, memrchr};

use crate::{Address, Cause, OriginRule, RequestAuthority};

/// The advice that goes with a cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advice {
    /// The cause's own: nothing that was seen says more.
    #[default]
    Usual,
    /// Instead of it.
    Found(Finding),
}

impl Advice {
    /// A clause for the end of a log line, without capital or period.
    pub const fn text(self, cause: Cause) -> &'static str {
        match self {
            Self::Usual => cause.advice(),
            Self::Found(finding) => finding.advice(),
        }
    }
}

/// Writes the enum and its texts from one table.
macro_rules! findings {
    ($($variant:ident [$($cause:ident)*] $meaning:literal $advice:literal)*) => {
        /// What evidence can show about a cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Finding {
            $(#[doc = $meaning] $variant,)*
        }

        impl Finding {
            /// All of them.
            pub const ALL: &'static [Finding] = &[$(Self::$variant,)*];

            /// The causes that it is found for.
            pub const fn causes(self) -> &'static [Cause] {
                match self { $(Self::$variant => &[$(Cause::$cause),*],)* }
            }

            /// What was seen: a clause that goes on from "where".
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to change: a clause for the end of a log line, without capital or period.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

findings! {
    HostChanged [UpstreamBadRequest UpstreamForbidden]
        "Origin agrees with the client's Host, but not with the Host that the upstream got"
        "set proxy_set_header Host $http_host, so that the application sees the Host that Origin names"
    OriginAgrees [UpstreamBadRequest UpstreamForbidden]
        "Origin agrees with the Host that the upstream got"
        "check the path, and add this Host and Origin to those that the application allows"
    OriginElsewhere [UpstreamBadRequest UpstreamForbidden]
        "Origin is another than the Host that the client sent and the upstream got"
        "add this Origin to those that the application allows; if a proxy in front changes Host, make it pass the client's on"
    HostAndOriginDiffer [UpstreamBadRequest UpstreamForbidden]
        "Origin, the client's Host and the Host that the upstream got are three different ones"
        "set proxy_set_header Host $http_host, and add this Origin to those that the application allows"
    OriginMissing [UpstreamBadRequest UpstreamForbidden]
        "the upstream got the client's Host and no Origin"
        "check the path; the application may require an Origin, which browsers send and this request lacks"
    HostChangedOriginMissing [UpstreamBadRequest UpstreamForbidden]
        "the upstream got another Host than the client sent, and no Origin"
        "check the path; the application may require the client's Host (proxy_set_header Host $http_host), or an Origin"
    NoneNotAllowed [OriginNotAllowed]
        "the request has no Origin"
        "if clients that send no Origin, which browsers always send, may connect, add none to websocket_allow_origin"
    SlashMissing [LocalRedirect UpstreamRedirect]
        "the redirect leads to the same path with a slash behind it"
        "open the address with the slash at its end, or add a \"location =\" for the one without, whose proxy_pass has the slash"
    SchemeMissing [UpstreamRedirect]
        "the redirect leads to the same address with https:// before it"
        "set proxy_set_header X-Forwarded-Proto to $scheme, or to https where TLS ends in front of this nginx"
    ElsewhereForNow [UpstreamRedirect]
        "the redirect is a 302, 303 or 307 to another address"
        "if that is a login, let the client send its cookie, and check that no proxy_set_header removes Cookie; otherwise check the path in proxy_pass"
    TlsWanted [UpstreamBadRequest]
        "the answer says that HTTP came to a port for HTTPS"
        "use https:// in proxy_pass: the upstream speaks TLS at this port"
    InterimFirst [UpstreamStatus]
        "the status is below 200"
        "make the upstream answer 101 and nothing before it: nginx takes an interim response for its answer"
    PassedOtherwise [UpstreamRefused UpstreamClosed UpstreamNotFound UpstreamNotWebsocket UpstreamError]
        "the location has fastcgi_pass, grpc_pass or memcached_pass"
        "use proxy_pass: fastcgi_pass, grpc_pass and memcached_pass can't carry a WebSocket"
    AuthRequestFailed [LocalStatus]
        "what auth_request asked was answered with neither a success, 401 nor 403"
        "see to the service that auth_request asks; nginx's own lines above this one may say more"
    FileServed [LocalStatus]
        "the answer is a file"
        "check the address: its location has no proxy_pass, and root, alias or try_files led to a file"
    NothingLimited [LocalLimited]
        "neither limit_conn nor limit_req turned it away"
        "look for return 503 or 429 and error_page in this location, and at nginx's own lines above this one"
}

/// What was seen of a handshake that was answered, as far as advice depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The status of the answer, 0 where there is none.
    pub status: u16,
    /// The beginning of what came behind its header.
    pub body: &'a [u8],
    /// Whether the location passes requests on in a way that can't carry a WebSocket.
    pub is_passed_otherwise: bool,
    /// The status that `auth_request` was answered with, 0 where it did not ask.
    pub auth_request: u16,
    /// Whether the answer is a file.
    pub is_file: bool,
    /// Whether it is known that no limit turned the handshake away.
    pub is_within_limits: bool,
    /// The path that whoever answered was asked for.
    pub path: Option<&'a [u8]>,
    /// Where its redirect leads to.
    pub location: Option<&'a [u8]>,
    /// The Host that the client sent.
    pub host: Option<&'a [u8]>,
    /// The Host that the upstream got, where that is known; then `origin` is what it got, too.
    pub sent_host: Option<&'a [u8]>,
    /// The Origin that goes with it.
    pub origin: Option<&'a [u8]>,
}

impl Evidence<'_> {
    /// What to change about a cause.
    pub fn advice(&self, cause: Cause) -> Advice {
        let is_passed_otherwise =
            self.is_passed_otherwise && Finding::PassedOtherwise.causes().contains(&cause);
        let finding = match cause {
            _ if is_passed_otherwise => Some(Finding::PassedOtherwise),
            Cause::UpstreamBadRequest if self.wants_tls() => Some(Finding::TlsWanted),
            Cause::UpstreamBadRequest | Cause::UpstreamForbidden => self.origin_finding(),
            Cause::OriginNotAllowed if self.origin.is_none() => Some(Finding::NoneNotAllowed),
            Cause::LocalRedirect | Cause::UpstreamRedirect if self.leads_to_slash() => {
                Some(Finding::SlashMissing)
            }
            Cause::UpstreamRedirect => self.redirect_finding(),
            Cause::UpstreamStatus if matches!(self.status, 100..200) => Some(Finding::InterimFirst),
            Cause::LocalStatus if matches!(self.auth_request, 300..=400 | 402 | 404..) => {
                Some(Finding::AuthRequestFailed)
            }
            Cause::LocalStatus if self.is_file => Some(Finding::FileServed),
            Cause::LocalLimited if self.is_within_limits => Some(Finding::NothingLimited),
            _ => None,
        };
        finding.map_or(Advice::Usual, Advice::Found)
    }

    fn origin_finding(&self) -> Option<Finding> {
        let sent = self.sent_host?;
        let host = self.host.unwrap_or_default();
        let is_client_s = sent.eq_ignore_ascii_case(host);
        let Some(origin) = self.origin.filter(|origin| !origin.is_empty()) else {
            return Some(if is_client_s {
                Finding::OriginMissing
            } else {
                Finding::HostChangedOriginMissing
            });
        };
        Some(if agrees(origin, sent) {
            Finding::OriginAgrees
        } else if agrees(origin, host) {
            Finding::HostChanged
        } else if is_client_s {
            Finding::OriginElsewhere
        } else {
            Finding::HostAndOriginDiffer
        })
    }

    /// As nginx, Apache's server and Go's say it of a request without TLS.
    fn wants_tls(&self) -> bool {
        const SAID: [&[u8]; 3] = [
            b"plain HTTP request was sent to HTTPS port",
            b"plain HTTP to an SSL-enabled server port",
            b"HTTP request to an HTTPS server",
        ];
        SAID.iter()
            .any(|said| memmem::find(self.body, said).is_some())
    }

    fn redirect_finding(&self) -> Option<Finding> {
        let (path, location) = (self.path?, self.location?);
        let location = Address(location);
        let host = location.host();
        let is_here = |here: &[u8]| {
            host.is_none_or(|host| without_port(host).eq_ignore_ascii_case(without_port(here)))
        };
        let is_same_host = [self.host, self.sent_host]
            .into_iter()
            .flatten()
            .any(is_here);
        if is_same_host && location.path() == path {
            return location.is_secure().then_some(Finding::SchemeMissing);
        }
        matches!(self.status, 302 | 303 | 307).then_some(Finding::ElsewhereForNow)
    }

    fn leads_to_slash(&self) -> bool {
        let (Some(path), Some(location)) = (self.path, self.location) else {
            return false;
        };
        Address(location).path().strip_suffix(b"/") == Some(path)
    }
}

/// A host of a Host header or an address, without its port.
fn without_port(host: &[u8]) -> &[u8] {
    match memrchr(b':', host) {
        Some(colon) if !host.ends_with(b"]") => host.get(..colon).unwrap_or_default(),
        _ => host,
    }
}

/// Whether an application that compares Origin with Host finds them to be the same.
fn agrees(origin: &[u8], host: &[u8]) -> bool {
    let authority = RequestAuthority {
        secure: false,
        host,
    };
    OriginRule::Same.matches(Some(origin), authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_origin_choose_the_advice() {
        use Finding::*;
        for (origin, host, sent, finding) in [
            ("https://a.example", "a.example", "app:80", HostChanged),
            (
                "https://a.example:8443",
                "a.example:8443",
                "a.example",
                HostChanged,
            ),
            ("https://a.example", "a.example", "A.example", OriginAgrees),
            (
                "https://a.example",
                "a.example",
                "a.example:443",
                OriginAgrees,
            ),
            (
                "http://a.example:8080",
                "a.example:8080",
                "a.example:8080",
                OriginAgrees,
            ),
            (
                "https://b.example",
                "a.example",
                "a.example",
                OriginElsewhere,
            ),
            ("null", "a.example", "a.example", OriginElsewhere),
            ("https://b.example", "a.example", "app", HostAndOriginDiffer),
            ("", "a.example", "a.example", OriginMissing),
            ("", "a.example", "app", HostChangedOriginMissing),
        ] {
            let evidence = Evidence {
                host: Some(host.as_bytes()),
                sent_host: Some(sent.as_bytes()),
                origin: Some(origin.as_bytes()),
                ..Evidence::default()
            };
            for cause in [Cause::UpstreamForbidden, Cause::UpstreamBadRequest] {
                assert_eq!(
                    evidence.advice(cause),
                    Advice::Found(finding),
                    "{origin} {host} {sent}"
                );
            }
            assert_eq!(evidence.advice(Cause::UpstreamNotFound), Advice::Usual);
        }
    }

    #[test]
    fn what_the_upstream_got_may_be_unknown() {
        let evidence = Evidence {
            host: Some(b"a.example"),
            origin: Some(b"https://a.example"),
            ..Evidence::default()
        };
        assert_eq!(evidence.advice(Cause::UpstreamForbidden), Advice::Usual);
    }

    #[test]
    fn a_request_without_origin_comes_from_no_page() {
        let advice = |origin| {
            let evidence = Evidence {
                origin,
                ..Evidence::default()
            };
            evidence.advice(Cause::OriginNotAllowed)
        };
        assert_eq!(advice(None), Advice::Found(Finding::NoneNotAllowed));
        assert_eq!(advice(Some(b"https://b.example")), Advice::Usual);
    }

    #[test]
    fn a_slash_is_all_that_is_missing() {
        for (path, location, is_slash) in [
            ("/chat", "/chat/", true),
            ("/chat", "http://app:8080/chat/?a=b", true),
            ("/chat", "/chat", false),
            ("/chat", "/login/", false),
            ("/chat/", "/chat", false),
            ("/chat", "https://a.example/chat", false),
        ] {
            let evidence = Evidence {
                path: Some(path.as_bytes()),
                location: Some(location.as_bytes()),
                ..Evidence::default()
            };
            for cause in [Cause::LocalRedirect, Cause::UpstreamRedirect] {
                let found = evidence.advice(cause) == Advice::Found(Finding::SlashMissing);
                assert_eq!(found, is_slash, "{path} {location}");
            }
        }
    }

    #[test]
    fn where_a_redirect_leads_chooses_the_advice() {
        for (status, location, finding) in [
            (
                301,
                "https://a.example/chat?a=b",
                Some(Finding::SchemeMissing),
            ),
            (
                302,
                "HTTPS://a.example:8443/chat",
                Some(Finding::SchemeMissing),
            ),
            (308, "http://a.example/chat", None),
            (302, "/chat?again", None),
            (
                302,
                "https://b.example/chat",
                Some(Finding::ElsewhereForNow),
            ),
            (301, "https://b.example/chat", None),
            (301, "//a.example/chat", None),
            (302, "/login?next=/chat", Some(Finding::ElsewhereForNow)),
            (303, "https://id.example/", Some(Finding::ElsewhereForNow)),
            (307, "/", Some(Finding::ElsewhereForNow)),
            (301, "/app/chat", None),
            (308, "https://a.example/app/chat", None),
            (302, "/chat/", Some(Finding::SlashMissing)),
        ] {
            let evidence = Evidence {
                status,
                host: Some(b"a.example:8080"),
                path: Some(b"/chat"),
                location: Some(location.as_bytes()),
                ..Evidence::default()
            };
            let expected = finding.map_or(Advice::Usual, Advice::Found);
            assert_eq!(
                evidence.advice(Cause::UpstreamRedirect),
                expected,
                "{status} {location}"
            );
        }
    }

    #[test]
    fn a_body_may_say_that_tls_is_wanted() {
        for (body, is_wanted) in [
            (
                "<center>The plain HTTP request was sent to HTTPS port</center>",
                true,
            ),
            ("Client sent an HTTP request to an HTTPS server.\n", true),
            (
                "You're speaking plain HTTP to an SSL-enabled server port.",
                true,
            ),
            ("Invalid Host header", false),
            ("", false),
        ] {
            let evidence = Evidence {
                status: 400,
                body: body.as_bytes(),
                ..Evidence::default()
            };
            let advice = evidence.advice(Cause::UpstreamBadRequest);
            assert_eq!(
                advice == Advice::Found(Finding::TlsWanted),
                is_wanted,
                "{body}"
            );
            assert_eq!(evidence.advice(Cause::UpstreamForbidden), Advice::Usual);
        }
    }

    #[test]
    fn how_it_was_passed_on_and_asked_for_chooses_the_advice() {
        let otherwise = Evidence {
            is_passed_otherwise: true,
            ..Evidence::default()
        };
        for cause in [Cause::UpstreamNotWebsocket, Cause::UpstreamClosed] {
            let expected = Advice::Found(Finding::PassedOtherwise);
            assert_eq!(otherwise.advice(cause), expected);
        }
        assert_eq!(otherwise.advice(Cause::UpstreamTlsFailed), Advice::Usual);
        for (status, is_interim) in [(100, true), (199, true), (204, false), (304, false)] {
            let evidence = Evidence {
                status,
                ..Evidence::default()
            };
            let found =
                evidence.advice(Cause::UpstreamStatus) == Advice::Found(Finding::InterimFirst);
            assert_eq!(found, is_interim, "{status}");
        }
        for (answer, has_failed) in [
            (0, false),
            (204, false),
            (401, false),
            (403, false),
            (302, true),
            (404, true),
            (502, true),
        ] {
            let evidence = Evidence {
                auth_request: answer,
                ..Evidence::default()
            };
            let found =
                evidence.advice(Cause::LocalStatus) == Advice::Found(Finding::AuthRequestFailed);
            assert_eq!(found, has_failed, "{answer}");
        }
    }

    #[test]
    fn what_nginx_itself_has_done_chooses_the_advice() {
        let file = Evidence {
            is_file: true,
            ..Evidence::default()
        };
        let expected = Advice::Found(Finding::FileServed);
        assert_eq!(file.advice(Cause::LocalStatus), expected);
        assert_eq!(file.advice(Cause::LocalNotFound), Advice::Usual);
        let free = Evidence {
            is_within_limits: true,
            ..Evidence::default()
        };
        let expected = Advice::Found(Finding::NothingLimited);
        assert_eq!(free.advice(Cause::LocalLimited), expected);
        assert_eq!(
            Evidence::default().advice(Cause::LocalLimited),
            Advice::Usual
        );
    }

    #[test]
    fn findings_are_found_for_the_causes_they_name() {
        for finding in Finding::ALL {
            assert!(!finding.causes().is_empty(), "{finding:?}");
            let texts = [finding.meaning(), finding.advice()];
            for text in texts {
                assert!(text.len() <= 160 && !text.ends_with('.'), "{text}");
            }
            assert_eq!(
                Advice::Found(*finding).text(Cause::UpstreamForbidden),
                texts[1]
            );
        }
        assert_eq!(
            Advice::Usual.text(Cause::KeyMissing),
            Cause::KeyMissing.advice()
        );
    }
}
