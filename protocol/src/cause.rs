//! Why a handshake failed: the names that logs, variables, pages and documentation share.

use core::fmt;

/// The side where the change has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The program that opens the WebSocket, or the page it runs in.
    Client,
    /// A proxy, load balancer or CDN between the client and this nginx.
    NetworkInFront,
    /// This nginx's own configuration.
    NginxConfiguration,
    /// The server behind nginx, or the way to it.
    Upstream,
}

impl Fault {
    /// The side in words, lower-case: `client`, `network in front`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::NetworkInFront => "network in front",
            Self::NginxConfiguration => "nginx configuration",
            Self::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The status that a client is answered with when its handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// This status. 499 is nginx's mark for a client that left: logged, not sent.
    Code(u16),
    /// Whatever the upstream answered; nginx passes it on.
    AsUpstream,
    /// Whatever nginx itself had decided to answer.
    AsNginx,
}

/// Writes the enum and everything that belongs to a variant from one table, so that no cause can
/// lack a part.
macro_rules! causes {
    ($($variant:ident $name:literal $fault:ident $status:ident $(($code:literal))?
        $meaning:literal $advice:literal)*) => {
        /// Why a WebSocket handshake failed.
        ///
        /// The names are stable: people match on them in logs and `map` blocks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Cause {
            $(#[doc = $meaning] $variant,)*
        }

        impl Cause {
            /// Every cause, in the order in which a handshake meets them.
            pub const ALL: &'static [Cause] = &[$(Self::$variant,)*];

            /// The stable kebab-case name, such as `upstream-refused`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The side that most often has to change something.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// What happened: one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to change: a clause for the end of a log line, without capital or period.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }

            /// What the client is answered.
            pub const fn status(self) -> Status {
                match self { $(Self::$variant => Status::$status $(($code))?,)* }
            }
        }
    };
}

causes! {
    // The request.
    OverHttp2 "over-http2" NetworkInFront Code(400)
        "WebSocket handshake headers arrived in an HTTP/2 or HTTP/3 request, where they have no meaning."
        "make the proxy or client in front use HTTP/1.1 towards this nginx for WebSocket"
    MethodNotGet "method-not-get" Client Code(405)
        "The handshake's method is not GET."
        "open the WebSocket with a GET request"
    HttpVersion "http-version" NetworkInFront Code(400)
        "The handshake came in a version of HTTP older than 1.1, which has no Upgrade."
        "make the proxy in front speak HTTP/1.1 (if it is nginx: proxy_http_version 1.1)"
    UpgradeMissing "upgrade-missing" NetworkInFront AsUpstream
        "The request has WebSocket headers but no Upgrade, which something in front must have removed."
        "make the proxy in front pass Upgrade and Connection on (if it is nginx: websocket on)"
    UpgradeNotWebsocket "upgrade-not-websocket" Client Code(400)
        "The Upgrade header does not list websocket."
        "send \"Upgrade: websocket\""
    ConnectionNotUpgrade "connection-not-upgrade" NetworkInFront Code(400)
        "The Connection header does not list upgrade, so Upgrade has no effect."
        "make the proxy in front send \"Connection: upgrade\" with the Upgrade header"
    KeyMissing "key-missing" Client Code(400)
        "The handshake has no Sec-WebSocket-Key."
        "send a Sec-WebSocket-Key of 16 random bytes in base64"
    KeyRepeated "key-repeated" Client Code(400)
        "The handshake has more than one Sec-WebSocket-Key."
        "send one Sec-WebSocket-Key; if the client does, look for a proxy in front that adds another"
    KeyInvalid "key-invalid" Client Code(400)
        "The Sec-WebSocket-Key is not 16 bytes in base64."
        "send a Sec-WebSocket-Key of 16 random bytes in base64, which is 24 characters"
    VersionMissing "version-missing" Client Code(400)
        "The handshake has no Sec-WebSocket-Version."
        "send \"Sec-WebSocket-Version: 13\""
    VersionRepeated "version-repeated" Client Code(400)
        "The handshake has more than one Sec-WebSocket-Version."
        "send one \"Sec-WebSocket-Version: 13\""
    VersionUnsupported "version-unsupported" Client Code(426)
        "The client asks for a version of the WebSocket protocol other than 13."
        "update the client to RFC 6455, which is version 13"
    BodyPresent "body-present" Client Code(400)
        "The handshake request has a body, whose bytes would be taken for frames."
        "send the handshake without Content-Length and Transfer-Encoding"
    SubprotocolMalformed "subprotocol-malformed" Client Code(400)
        "Sec-WebSocket-Protocol is not a list of different tokens."
        "give each subprotocol once, as a name without spaces or separators"
    ExtensionsMalformed "extensions-malformed" Client Code(400)
        "Sec-WebSocket-Extensions breaks the grammar of RFC 6455 section 9.1."
        "send extensions as \"name; parameter=value, name\", or leave the header out"
    OriginNotAllowed "origin-not-allowed" Client Code(403)
        "The page that opens the WebSocket comes from an origin that the configuration does not allow."
        "if pages of this origin may connect, add it to websocket_allow_origin"

    // nginx answered by itself.
    LocalRedirect "local-redirect" NginxConfiguration AsNginx
        "nginx answered with a redirect, which browsers do not follow for a WebSocket."
        "open the address that the redirect leads to (often wss:// instead of ws://), or exempt this location from the return or rewrite"
    LocalUnauthorized "local-unauthorized" Client AsNginx
        "nginx asked for credentials that the handshake did not carry."
        "send credentials that auth_basic or auth_request accepts; a page cannot set Authorization for a WebSocket, so use a cookie"
    LocalForbidden "local-forbidden" NginxConfiguration AsNginx
        "nginx denied access."
        "check allow, deny, auth_request and \"return 403\" for this location"
    LocalNotFound "local-not-found" NginxConfiguration AsNginx
        "nginx found nothing at this address."
        "check that the address matches a location with proxy_pass, and check try_files"
    LocalLimited "local-limited" NginxConfiguration AsNginx
        "nginx turned the client away because of a limit, or because it was told to answer 503."
        "raise limit_conn or limit_req for this location; a WebSocket counts in limit_conn until it closes"
    LocalHeaderTooLarge "local-header-too-large" NginxConfiguration AsNginx
        "The request's header is larger than nginx has buffers for."
        "raise large_client_header_buffers, or make the client send less; the usual reason is cookies"
    LocalBodyTooLarge "local-body-too-large" Client AsNginx
        "The handshake request has a body, which is larger than client_max_body_size."
        "send the handshake without Content-Length and Transfer-Encoding"
    LocalPlainToTls "local-plain-to-tls" Client AsNginx
        "The handshake came without TLS to a port where nginx speaks TLS."
        "open wss:// instead of ws://; if a proxy in front connects here, make it use https://"
    LocalCertificateMissing "local-certificate-missing" Client AsNginx
        "nginx requires a client certificate, and the client sent none."
        "make the client send its certificate, or set ssl_verify_client optional"
    LocalCertificateRefused "local-certificate-refused" Client AsNginx
        "The client's certificate failed verification."
        "renew the client's certificate, or check ssl_client_certificate, ssl_verify_depth and ssl_crl"
    LocalWebsocketOff "local-websocket-off" NginxConfiguration Code(501)
        "The handshake came over HTTP/2, to a server or a location where WebSocket is turned off."
        "set websocket on for the location, and websocket_http2 on for its server; browsers do not fall back to HTTP/1.1"
    LocalStatus "local-status" NginxConfiguration AsNginx
        "nginx answered the handshake by itself, with none of the statuses above."
        "look for return, rewrite or error_page in this location, and at nginx's own lines above this one"

    // On the way to the upstream.
    WorkerConnectionsExhausted "worker-connections-exhausted" NginxConfiguration Code(500)
        "The worker process had no connection left for the upstream."
        "raise worker_connections; a WebSocket takes two, one to the client and one to the upstream"
    TooManyOpenFiles "too-many-open-files" NginxConfiguration Code(500)
        "nginx had no file descriptor left for a connection to the upstream."
        "raise worker_rlimit_nofile above worker_connections; if it is the whole system's limit, raise fs.file-max"
    LocalPortsExhausted "local-ports-exhausted" NginxConfiguration Code(502)
        "This machine has no port left for one more connection to the upstream's address."
        "widen net.ipv4.ip_local_port_range, add addresses to the upstream, or let proxy_bind choose among several addresses, without a port"
    ConnectForbidden "connect-forbidden" NginxConfiguration Code(502)
        "The operating system does not permit nginx to connect to the upstream."
        "with SELinux, run setsebool -P httpd_can_network_connect 1; otherwise check AppArmor, the service's sandbox and the local firewall"
    UpstreamUnresolved "upstream-unresolved" NginxConfiguration Code(502)
        "The upstream's host name could not be resolved."
        "check the name in proxy_pass and the servers in resolver"
    UpstreamNoneLive "upstream-none-live" Upstream Code(502)
        "Every server of the upstream group is marked as failed or down."
        "bring a server of the upstream block back, or change its max_fails, fail_timeout and down"
    UpstreamRefused "upstream-refused" Upstream Code(502)
        "The upstream refused the connection: nothing listens at that address and port."
        "start the upstream, or correct the address and port in proxy_pass"
    UpstreamUnreachable "upstream-unreachable" Upstream Code(502)
        "There is no way from here to the upstream's address."
        "check the route, the firewall, proxy_bind and whether IPv6 works here, or the path and permissions of a unix socket"
    UpstreamConnectTimeout "upstream-connect-timeout" Upstream Code(504)
        "The upstream did not accept the connection in time."
        "check that no firewall drops packets to the address in proxy_pass, or raise proxy_connect_timeout"
    UpstreamTlsFailed "upstream-tls-failed" NginxConfiguration Code(502)
        "The TLS handshake with the upstream failed."
        "check that the port in proxy_pass speaks TLS, otherwise use http://; check proxy_ssl_server_name, proxy_ssl_name and proxy_ssl_verify"

    // The upstream's answer.
    UpstreamClosed "upstream-closed" Upstream Code(502)
        "The upstream closed the connection before it had answered."
        "check the path and the scheme (http:// or https://) in proxy_pass, and look for a crash in the upstream's own log"
    UpstreamResponseTimeout "upstream-response-timeout" Upstream Code(504)
        "The upstream accepted the connection but did not answer in time."
        "find out why the upstream does not answer, or raise proxy_read_timeout"
    UpstreamResponseInvalid "upstream-response-invalid" Upstream Code(502)
        "The upstream's answer is not valid HTTP."
        "check the port and the scheme (http:// or https://) in proxy_pass"
    UpstreamHeaderTooBig "upstream-header-too-big" NginxConfiguration Code(502)
        "The header of the upstream's answer is larger than proxy_buffer_size."
        "raise proxy_buffer_size, or make the upstream send less; the usual reason is Set-Cookie"
    UpstreamRedirect "upstream-redirect" NginxConfiguration AsUpstream
        "The upstream answered with a redirect, which browsers do not follow for a WebSocket."
        "let proxy_pass lead to the redirect's target; often a slash is missing at the end, or proxy_set_header X-Forwarded-Proto"
    UpstreamBadRequest "upstream-bad-request" Upstream AsUpstream
        "The upstream refused the handshake as a bad request."
        "check the path, the Host it expects (proxy_set_header Host $http_host), and the upstream's own log for what it found wrong"
    UpstreamUnauthorized "upstream-unauthorized" Client AsUpstream
        "The upstream asked for credentials that the handshake did not carry."
        "send the credentials the upstream wants, and check that no proxy_set_header removes Authorization or Cookie"
    UpstreamForbidden "upstream-forbidden" Upstream AsUpstream
        "The upstream refused the client."
        "if it compares Origin with Host, set proxy_set_header Host $http_host; otherwise check the path, and allow this origin or user in the upstream"
    UpstreamNotFound "upstream-not-found" NginxConfiguration AsUpstream
        "The upstream has nothing at the path it was asked for."
        "check the path that proxy_pass maps this location to"
    UpstreamVersion "upstream-version" Upstream AsUpstream
        "The upstream asks for another upgrade or another WebSocket version."
        "check what the upstream's Sec-WebSocket-Version and Upgrade ask for; it should accept version 13"
    UpstreamOverloaded "upstream-overloaded" Upstream AsUpstream
        "The upstream is overloaded, limits the client, or is out of service."
        "raise the upstream's capacity or limits, or add a server to the upstream block"
    UpstreamNotWebsocket "upstream-not-websocket" NginxConfiguration AsUpstream
        "The upstream answered like an ordinary HTTP endpoint."
        "check that the path proxy_pass maps this location to is the WebSocket endpoint"
    UpstreamError "upstream-error" Upstream AsUpstream
        "The upstream failed with a server error."
        "look for the error in the upstream's own log"
    UpstreamStatus "upstream-status" Upstream AsUpstream
        "The upstream answered with a status that does not belong in a handshake."
        "check the path that proxy_pass maps this location to, and the upstream's own log"
    ResponseUpgrade "response-upgrade" Upstream Code(502)
        "The upstream answered 101, but its Upgrade is not websocket."
        "make the upstream answer \"Upgrade: websocket\"; websocket_verify log lets it through in the meantime"
    ResponseConnection "response-connection" Upstream Code(502)
        "The upstream answered 101, but its Connection does not list upgrade."
        "make the upstream answer \"Connection: Upgrade\"; websocket_verify log lets it through in the meantime"
    AcceptMissing "accept-missing" Upstream Code(502)
        "The upstream answered 101 without Sec-WebSocket-Accept."
        "make the upstream answer with Sec-WebSocket-Accept; it may not be a WebSocket server at all"
    AcceptMismatch "accept-mismatch" Upstream Code(502)
        "The upstream's Sec-WebSocket-Accept does not belong to the client's key."
        "check that nothing between nginx and the upstream replays an answer or changes Sec-WebSocket-Key"
    SubprotocolNotOffered "subprotocol-not-offered" Upstream Code(502)
        "The upstream chose a subprotocol that the client did not offer, or more than one."
        "make the upstream choose one of the offered subprotocols or none, and check that no proxy_set_header changes them"
    ExtensionNotOffered "extension-not-offered" Upstream Code(502)
        "The upstream chose an extension that the client did not offer."
        "make the upstream choose among the offered extensions, and check that no proxy_set_header changes them"

    ResponseUnasked "response-unasked" Upstream Code(502)
        "The upstream answered 101 to a request that asked for no upgrade."
        "make the upstream answer 101 only to requests with Upgrade; to let another protocol through, set websocket_other_upgrades pass"
    ResponseAccelRedirect "response-accel-redirect" Upstream AsNginx
        "The upstream answered 101 with X-Accel-Redirect, which sends nginx to another location."
        "make the upstream leave X-Accel-Redirect out of its 101, or set proxy_ignore_headers X-Accel-Redirect"

    // Either side of it.
    ClientGone "client-gone" Client Code(499)
        "The client closed the connection before the handshake was answered."
        "if it happens often, check whether the upstream takes longer to answer than clients wait"
}

impl Cause {
    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.name() == name)
    }

    /// The cause behind the status that an upstream answered a handshake with.
    ///
    /// `None` for 101, the only answer that is no failure. 0 stands for an answer without a status
    /// line, which older nginx takes for HTTP/0.9.
    pub const fn from_upstream_status(status: u16) -> Option<Self> {
        Some(match status {
            101 => return None,
            0 => Self::UpstreamResponseInvalid,
            200..=299 => Self::UpstreamNotWebsocket,
            301 | 302 | 303 | 307 | 308 => Self::UpstreamRedirect,
            400 => Self::UpstreamBadRequest,
            401 => Self::UpstreamUnauthorized,
            403 => Self::UpstreamForbidden,
            404 => Self::UpstreamNotFound,
            426 => Self::UpstreamVersion,
            429 | 503 => Self::UpstreamOverloaded,
            500..=599 => Self::UpstreamError,
            _ => Self::UpstreamStatus,
        })
    }

    /// Whether an upstream may have failed a handshake so because of a rule that it breaks. `status` is
    /// what it answered, 0 where it did not.
    pub const fn may_be_for_a_broken_rule(self, status: u16) -> bool {
        match status {
            0 => matches!(self, Self::UpstreamClosed),
            _ => matches!(status, 400 | 405 | 426 | 501 | 505),
        }
    }

    /// The cause behind the status that nginx itself answered a handshake with, before any upstream
    /// was asked.
    ///
    /// `None` for 101 and for 0 (nothing was answered). 503 counts as a limit because `limit_conn`
    /// and `limit_req` answer it unless told otherwise. 494 to 497 are nginx's own numbers for what it
    /// tells the client as 400.
    pub const fn from_local_status(status: u16) -> Option<Self> {
        Some(match status {
            0 | 101 => return None,
            301 | 302 | 303 | 307 | 308 => Self::LocalRedirect,
            401 => Self::LocalUnauthorized,
            403 => Self::LocalForbidden,
            404 => Self::LocalNotFound,
            413 => Self::LocalBodyTooLarge,
            429 | 503 => Self::LocalLimited,
            494 => Self::LocalHeaderTooLarge,
            495 => Self::LocalCertificateRefused,
            496 => Self::LocalCertificateMissing,
            497 => Self::LocalPlainToTls,
            499 => Self::ClientGone,
            _ => Self::LocalStatus,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests;
