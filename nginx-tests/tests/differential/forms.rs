//! The forms of locations that pass requests on.

/// One form. Both servers have its locations.
#[derive(Debug)]
pub struct Form {
    /// Requests for it go to `/name/`.
    pub name: &'static str,
    /// The locations. `%OWN%` is what stands in `own`, or what replaces it in a location written
    /// by hand, where `%HANDSHAKE%` are the lines that a handshake needs of the client's;
    /// `%OFF%` is `websocket off;` where the module is loaded; `%FLAGS%` a line that nginx has since 1.19.3.
    pub text: &'static str,
    /// What it says of version, Upgrade and Connection, or else of what no handshake goes with.
    pub own: &'static str,
    /// What becomes of a handshake.
    pub handshakes: Handshakes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshakes {
    /// A tunnel.
    Carried,
    /// The same as without the module.
    Off,
}

impl Form {
    pub fn is_off(&self) -> bool {
        self.handshakes == Handshakes::Off
    }

    /// Whether it passes some upgrade on, by lines of its own or as its module does it.
    pub fn forwards_upgrades(&self) -> bool {
        [
            "$http_upgrade",
            "$connection_upgrade",
            "$http_connection",
            "uwsgi_pass",
            "scgi_pass",
        ]
        .iter()
        .any(|name| self.own.contains(name) || self.text.contains(name))
    }

    /// Whether it has lines of its own that hide those of its server.
    pub fn hides_lines_above(&self) -> bool {
        self.own.contains("proxy_set_header") || self.text.contains("proxy_set_header")
    }
}

const fn form(name: &'static str, text: &'static str) -> Form {
    Form {
        name,
        text,
        own: "",
        handshakes: Handshakes::Carried,
    }
}

/// One that says this of them.
const fn says(name: &'static str, text: &'static str, own: &'static str) -> Form {
    Form {
        own,
        ..form(name, text)
    }
}

const fn off(name: &'static str, text: &'static str) -> Form {
    Form {
        handshakes: Handshakes::Off,
        ..form(name, text)
    }
}

/// What is in the http block for them. Idle connections stay, so that which of them is used does
/// not depend on how fast all this goes.
pub const HTTP: &str = "
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    proxy_cache_path temp/cache keys_zone=zone:1m;
    upstream group { server %BACKEND%; keepalive_timeout 1h; }
    upstream kept { server %BACKEND%; keepalive 4; keepalive_timeout 1h; }
    upstream kept_tls { server %TLS%; keepalive 4; keepalive_timeout 1h; }
    upstream second {
        server 127.0.0.1:1 max_fails=0; server %BACKEND% backup; keepalive_timeout 1h;
    }
";

pub const FORMS: &[Form] = &[
    // How the upstream is named.
    form(
        "literal",
        "location /literal/ { proxy_pass http://%BACKEND%; %OWN% }",
    ),
    form(
        "uri",
        "location /uri/ { proxy_pass http://%BACKEND%/app/; %OWN% }",
    ),
    form(
        "group",
        "location /group/ { proxy_pass http://group; %OWN% }",
    ),
    form(
        "second",
        "location /second/ { proxy_pass http://second/app/; %OWN% }",
    ),
    form("kept", "location /kept/ { proxy_pass http://kept; %OWN% }"),
    says(
        "kept_open",
        "location /kept_open/ { proxy_pass http://kept; %OWN% }",
        "proxy_http_version 1.1; proxy_set_header Connection '';",
    ),
    form(
        "variable",
        "location /variable/ { set $backend %BACKEND%; proxy_pass http://$backend; %OWN% }",
    ),
    form(
        "variable_uri",
        "location /variable_uri/ { proxy_pass http://%BACKEND%/app$uri?of=$arg_x; %OWN% }",
    ),
    form(
        "captures",
        "location ~ ^/captures/(.*)$ { proxy_pass http://%BACKEND%/app/$1; %OWN% }",
    ),
    form(
        "unix",
        "location /unix/ { proxy_pass http://unix:%UNIX%; %OWN% }",
    ),
    form(
        "https",
        "location /https/ {
            proxy_pass https://%TLS%/app/; %OWN%
            proxy_ssl_verify on; proxy_ssl_trusted_certificate cert.pem;
            proxy_ssl_name localhost; proxy_ssl_server_name on;
        }",
    ),
    says(
        "https_kept",
        "location /https_kept/ { proxy_pass https://kept_tls; %OWN% }",
        "proxy_http_version 1.1; proxy_set_header Connection '';",
    ),
    form(
        "bind",
        "location /bind/ { proxy_pass http://%BACKEND%; proxy_bind 127.0.0.1; %OWN% }",
    ),
    form(
        "uwsgi",
        "location /uwsgi/ { uwsgi_pass %UWSGI%; uwsgi_param URI $request_uri; }",
    ),
    form(
        "scgi",
        "location /scgi/ { scgi_pass %SCGI%; scgi_param URI $request_uri; }",
    ),
    // How a request comes to its location.
    form(
        "if",
        "location /if/ { %OWN% if ($scheme = http) { proxy_pass http://%BACKEND%; } }",
    ),
    form(
        "if_inherits",
        "location /if_inherits/ {
            proxy_pass http://%BACKEND%; %OWN%
            if ($scheme = http) { set $unused 1; }
        }",
    ),
    form(
        "limit_except",
        "location /limit_except/ {
            %OWN% limit_except POST { proxy_pass http://%BACKEND%; }
        }",
    ),
    form(
        "limit_except_inherits",
        "location /limit_except_inherits/ {
            proxy_pass http://%BACKEND%; %OWN% limit_except POST { allow all; }
        }",
    ),
    form(
        "try_files",
        "location /try_files/ { root .; try_files $uri/none @try_files; }
        location @try_files { proxy_pass http://%BACKEND%; %OWN% }",
    ),
    form(
        "error_page",
        "location /error_page/ { error_page 418 = @error_page; return 418; }
        location @error_page { proxy_pass http://%BACKEND%; %OWN% }",
    ),
    form(
        "error_page_uri",
        "location /error_page_uri/ { error_page 418 = /shown/; return 418; }
        location /shown/ { internal; proxy_pass http://%BACKEND%; %OWN% }",
    ),
    form(
        "nested",
        "location /nes { proxy_pass http://127.0.0.1:1; %OWN%
            location /nested/ { proxy_pass http://%BACKEND%; }
        }",
    ),
    form(
        "inherits",
        "location /inhe {
            proxy_set_header X-Outer 1; proxy_set_header Host outer.test; %OWN%
            location /inherits/ { proxy_pass http://%BACKEND%; }
        }",
    ),
    form(
        "rewrite_break",
        "location /rewrite_break/ {
            rewrite ^/rewrite_break/(.*)$ /app/$1 break; proxy_pass http://%BACKEND%; %OWN%
        }",
    ),
    form(
        "rewrite_last",
        "location /rewrite_last/ { rewrite ^/rewrite_last/(.*)$ /rewritten/$1 last; }
        location /rewritten/ { internal; proxy_pass http://%BACKEND%; %OWN% }",
    ),
    // What goes to the upstream.
    form(
        "headers",
        "location /headers/ {
            proxy_pass http://%BACKEND%; proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr; %OWN%
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }",
    ),
    form(
        "subprotocol",
        "location /subprotocol/ {
            proxy_pass http://%BACKEND%; %OWN%
            proxy_set_header Sec-WebSocket-Protocol chat;
            proxy_set_header X-Offered $http_sec_websocket_protocol;
        }",
    ),
    says(
        "connection",
        "location /connection/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_set_header Connection keep-alive;",
    ),
    says(
        "usual_lines",
        "location /usual_lines/ { proxy_pass http://%BACKEND%; proxy_set_header X-A a; %OWN% }",
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;",
    ),
    says(
        "upgrade",
        "location /upgrade/ { proxy_pass http://%BACKEND%; %OWN% proxy_set_header X-B b; }",
        "proxy_set_header Upgrade $http_upgrade;",
    ),
    says(
        "connection_twice",
        "location /connection_twice/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_set_header Connection $http_connection; proxy_set_header Connection x-own;",
    ),
    says(
        "version_1_0",
        "location /version_1_0/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_http_version 1.0;",
    ),
    says(
        "version_1_1",
        "location /version_1_1/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_http_version 1.1;",
    ),
    says(
        "method",
        "location /method/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_method PUT;",
    ),
    says(
        "set_body",
        "location /set_body/ { proxy_pass http://%BACKEND%; %OWN% }",
        "proxy_set_body $request_method;",
    ),
    says(
        "no_key",
        "location /no_key/ { proxy_pass http://%BACKEND%; proxy_set_header X-A a; %OWN% }",
        "proxy_set_header Sec-WebSocket-Key ''; proxy_set_header Sec-WebSocket-Version '';",
    ),
    form(
        "no_headers",
        "location /no_headers/ {
            proxy_pass http://%BACKEND%; proxy_pass_request_headers off; %OWN% %HANDSHAKE%
        }",
    ),
    form(
        "no_body",
        "location /no_body/ {
            proxy_pass http://%BACKEND%; proxy_pass_request_body off;
            proxy_set_header Content-Length ''; %OWN%
        }",
    ),
    form(
        "unbuffered_request",
        "location /unbuffered_request/ {
            proxy_pass http://%BACKEND%; proxy_request_buffering off; %OWN%
        }",
    ),
    // What comes back.
    form(
        "redirects",
        "location /redirects/ {
            proxy_pass http://%BACKEND%/app/; %OWN%
            proxy_redirect http://%BACKEND%/app/ /there/; proxy_redirect ~^http://[^/]+/(.*) /$1;
        }",
    ),
    form(
        "no_redirects",
        "location /no_redirects/ { proxy_pass http://%BACKEND%/app/; proxy_redirect off; %OWN% }",
    ),
    form(
        "cookies",
        "location /cookies/ {
            proxy_pass http://%BACKEND%; %OWN%
            proxy_cookie_path /app/ /cookies/; proxy_cookie_domain backend.test localhost;
            %FLAGS%
        }",
    ),
    form(
        "cache",
        "location /cache/ {
            proxy_pass http://%BACKEND%; %OWN%
            proxy_cache zone; proxy_cache_valid 1h; proxy_ignore_headers Set-Cookie;
            proxy_cache_key $server_name$request_uri; add_header X-Cache $upstream_cache_status;
        }",
    ),
    form(
        "store",
        "location /store/ { proxy_pass http://%BACKEND%; proxy_store temp/$server_name; %OWN% }",
    ),
    form(
        "response_headers",
        "location /response_headers/ {
            proxy_pass http://%BACKEND%; %OWN% proxy_hide_header X-Own; proxy_pass_header Server;
            add_header X-Added $upstream_status always;
        }",
    ),
    form(
        "unbuffered",
        "location /unbuffered/ { proxy_pass http://%BACKEND%; proxy_buffering off; %OWN% }",
    ),
    form(
        "intercepted",
        "location /intercepted/ {
            proxy_pass http://%BACKEND%; %OWN%
            proxy_intercept_errors on; error_page 302 = /intercepted_page/;
        }
        location /intercepted_page/ { internal; return 203 page; }",
    ),
    // With subrequests.
    form(
        "auth_request",
        "location /auth_request/ { auth_request /ask/; proxy_pass http://%BACKEND%; %OWN% }
        location /ask/ { internal; proxy_pass http://%ASIDE%; %BODILESS% }",
    ),
    form(
        "mirror",
        "location /mirror/ { mirror /mirrored/; proxy_pass http://%BACKEND%; %OWN% }
        location /mirrored/ { internal; proxy_pass http://%ASIDE%; }",
    ),
    form(
        "ssi",
        "location /ssi/ { ssi on; ssi_types text/plain; proxy_pass http://%BACKEND%; %OWN% }
        location /included/ { proxy_pass http://%ASIDE%; %BODILESS% }",
    ),
    form(
        "post_action",
        "location /post_action/ { post_action /after/; proxy_pass http://%BACKEND%; %OWN% }
        location /after/ { internal; proxy_pass http://%ASIDE%; %BODILESS% }",
    ),
    // Off below on.
    off(
        "off",
        "location /off/ { %OFF% proxy_pass http://%BACKEND%; }",
    ),
    off(
        "off_by_hand",
        "location /off_by_hand/ {
            %OFF% proxy_pass http://%BACKEND%; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }",
    ),
    off(
        "off_nested",
        "location /off_nes {
            proxy_set_header X-Outer 1; proxy_pass http://%BACKEND%;
            location /off_nested/ { %OFF% proxy_pass http://%BACKEND%; }
        }",
    ),
    off(
        "off_cache",
        "location /off_cache/ {
            %OFF% proxy_pass http://%BACKEND%;
            proxy_cache zone; proxy_cache_valid 1h; proxy_ignore_headers Set-Cookie;
            proxy_cache_key $server_name$request_uri;
        }",
    ),
];
