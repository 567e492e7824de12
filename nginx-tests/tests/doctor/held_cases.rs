//! The configurations of `held.rs`.

use super::{Case, case};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("location / { %PASS% websocket on; }", "/"),
    case("location / { %PASS% }", "/"),
    case("location / { %PASS% %HAND% }", "/"),
    case("location / { %PASS% websocket ON; }", "/"),
    case("location / { %PASS% websocket Off; }", "/"),
    case("websocket on; location / { %PASS% } location /off { %PASS% websocket off; }", "/"),
    case("websocket on; location / { %PASS% } location /off { %PASS% websocket off; }", "/off").with_address_only(),

    // return, and where it stands
    case("location /a { return 403; location /a/b { %PASS% websocket on; } }", "/a/b"),
    case("location /a { return 403; location /a/b { %PASS% websocket on; } }", "/a").with_address_only(),
    case("location /a { %PASS% websocket on; return 403; }", "/a"),
    case("return 403; location / { %PASS% websocket on; }", "/"),
    case("location / { %PASS% websocket on; break; return 403; }", "/"),
    case("if ($http_upgrade) { return 403; } location / { %PASS% websocket on; }", "/"),
    case("if ($http_upgrade = '') { return 403; } location / { %PASS% websocket on; }", "/"),
    case("location / { if ($http_upgrade != websocket) { return 426; } %PASS% websocket on; }", "/"),
    case("location / { if ($request_method = POST) { return 405; } %PASS% websocket on; }", "/"),
    case("location / { if ($http_upgrade) { return 403; } %PASS% websocket on; }", "/"),
    case("location / { if ($http_upgrade) { %PASS% } return 403; }", "/").http("websocket on;"),
    case("location / { if ($http_upgrade) { %PASS% } }", "/").http("websocket on;"),
    case("location / { return 200 $http_upgrade; } location /ws { %PASS% websocket on; }", "/ws"),
    case("set $no 1; if ($no) { return 403; } location / { %PASS% websocket on; }", "/"),
    case("set $no 0; if ($no) { return 403; } location / { %PASS% websocket on; }", "/"),
    case("location ~ ^/ws { return 404; %PASS% websocket on; }", "/ws"),
    case("location @a { return 404; } location / { %PASS% websocket on; }", "/"),

    // headers
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Connection ''; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection ''; proxy_set_header Connection upgrade; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection keep-alive; proxy_set_header Connection upgrade; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection ''; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade ''; proxy_set_header Upgrade websocket; proxy_set_header Connection 'keep-alive, Upgrade'; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header UPGRADE $http_upgrade; proxy_set_header connection UPGRADE; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade h2c; proxy_set_header Connection upgrade; }", "/"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }", "/")
        .http("map $http_upgrade $connection_upgrade { default upgrade; '' close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map $http_upgrade $c { default upgrade; '' close; } map $http_upgrade $c { default close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map $http_upgrade $c { WEBSOCKET upgrade; default close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map $http_upgrade $c { ~^web.*t$ upgrade; default close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map $http_upgrade $c { ~^WEB upgrade; default close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $C; }", "/")
        .http("map $HTTP_UPGRADE $c { hostnames; volatile; default upgrade; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map B.a.example. $c { hostnames; *.example close; .a.example upgrade; default close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map a.example $c { hostnames; a.* close; ~a upgrade; .a.example upgrade; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map a.example $c { hostnames; a.* upgrade; ~a close; *.a.example close; }"),
    case("location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/")
        .http("map a.example $c { a.* close; ~a upgrade; }"),
    case("location / { set $c upgrade; %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/"),
    case("location / { set $c close; %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/"),
    case("set $c upgrade; location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/"),
    case("set $c ''; if ($http_upgrade) { set $c upgrade; } location / { %PASS% proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }", "/"),
    case("%HAND% location / { %PASS% }", "/"),
    case("%HAND% location / { %PASS% proxy_set_header Host $host; }", "/"),
    case("location / { proxy_set_header Host $host; %HAND% location /a { %PASS% } }", "/a"),
    case("location / { %PASS% proxy_http_version 1.0; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }", "/"),
    case("location / { %PASS% %HAND% proxy_set_header Sec-WebSocket-Key ''; }", "/"),
    case("location / { %PASS% %HAND% proxy_set_header Sec-WebSocket-Version ''; }", "/").with_address_only(),
    case("location / { %PASS% %HAND% proxy_pass_request_headers off; }", "/"),
    case("location / { %PASS% %HAND% proxy_pass_request_headers OFF; }", "/"),
    case("location / { %PASS% websocket on; proxy_pass_request_headers OFF; }", "/"),
    case("location / { %PASS% %HAND% proxy_hide_header Sec-WebSocket-Accept; }", "/"),
    case("location / { %PASS% websocket on; proxy_hide_header sec-websocket-accept; }", "/"),
    case("location / { %PASS% websocket on; proxy_hide_header Upgrade; }", "/"),
    case("location / { %PASS% websocket on; proxy_hide_header Connection; }", "/"),
    case("proxy_hide_header Sec-WebSocket-Accept; location / { %PASS% websocket on; }", "/"),
    case("proxy_hide_header Sec-WebSocket-Accept; location / { %PASS% websocket on; proxy_hide_header X-A; }", "/"),
    case("location / { %PASS% websocket on; proxy_hide_header Sec-WebSocket-Accept; proxy_pass_header Sec-WebSocket-Accept; }", "/"),
    case("location / { %PASS% websocket on; add_header Upgrade x; }", "/"),
    case("location / { %PASS% websocket on; proxy_set_header Host ''; }", "/"),

    // the request is another
    case("location / { %PASS% %HAND% proxy_set_body x; }", "/").saying("proxy_set_body"),
    case("location / { %PASS% websocket on; proxy_set_body x; }", "/"),
    case("location / { %PASS% %HAND% proxy_method POST; }", "/"),
    case("location / { %PASS% %HAND% proxy_method GET; }", "/"),
    case("location / { %PASS% %HAND% proxy_method $request_method; }", "/"),
    case("location / { %PASS% websocket on; proxy_method POST; }", "/"),
    case("location / { %PASS% %HAND% proxy_pass_request_body off; }", "/"),

    // other kinds of passing on
    case("websocket on; location / { %PASS% } location ~ \\.php$ { fastcgi_pass unix:php.sock; }", "/"),
    case("websocket on; location / { %PASS% } location ~ \\.php$ { fastcgi_pass unix:php.sock; }", "/a.php").with_address_only(),
    case("location / { websocket on; fastcgi_pass unix:php.sock; }", "/"),
    case("location / { websocket on; root html; }", "/"),

    // who may come in
    case("location / { %PASS% websocket on; limit_except POST { deny all; } }", "/"),
    case("location / { %PASS% websocket on; limit_except GET { deny all; } }", "/"),
    case("location / { %PASS% websocket on; limit_except POST PUT { allow all; } }", "/"),
    case("location / { %PASS% websocket on; limit_except HEAD { deny all; } }", "/"),
    case("location / { %PASS% websocket on; limit_except get { deny all; } }", "/"),
    case("location / { %PASS% websocket on; deny all; limit_except POST { allow all; } }", "/"),
    case("location / { %PASS% websocket on; deny all; }", "/"),
    case("deny all; location / { %PASS% websocket on; }", "/"),
    case("deny all; location / { %PASS% websocket on; allow all; }", "/"),
    case("location / { %PASS% websocket on; allow all; deny all; }", "/"),
    case("location / { %PASS% websocket on; allow 127.0.0.1; deny all; }", "/").saying("by the client's address"),
    case("location / { %PASS% websocket on; auth_basic a; auth_basic_user_file none; }", "/").with_address_only(),
    case("auth_basic a; location / { %PASS% websocket on; auth_basic off; }", "/"),
    case("location / { %PASS% websocket on; satisfy any; deny all; allow 127.0.0.1; auth_basic a; auth_basic_user_file none; }", "/").with_address_only(),
    case("location / { %PASS% websocket on; satisfy any; allow 127.0.0.1; auth_basic a; auth_basic_user_file none; }", "/").saying("auth_basic"),
    case("location / { %PASS% websocket on; auth_request /auth; } location = /auth { return 204; }", "/").saying("auth_request"),
    case("location / { %PASS% websocket on; websocket_allow_origin none; }", "/").with_address_only(),
    case("location / { %PASS% websocket on; websocket_allow_origin https://a.example ~^http://127; }", "/"),
    case("location / { %PASS% websocket on; websocket_allow_origin https://a.example ~^http://128; }", "/").with_address_only(),
    case("location / { %PASS% websocket on; websocket_allow_origin same; }", "/").with_address_only(),
    case("location / { %PASS% %HAND% websocket_allow_origin https://a.example; }", "/"),

    // rewrite
    case("location / { %PASS% websocket on; rewrite ^ /new permanent; }", "/"),
    case("location / { %PASS% websocket on; rewrite ^ /new redirect; }", "/"),
    case("location / { %PASS% websocket on; rewrite ^ https://a.example; }", "/"),
    case("location / { %PASS% websocket on; rewrite ^/other /new permanent; }", "/"),
    case("location /ws { %PASS% websocket on; rewrite ^/ws/(.*)$ /$1 break; }", "/ws/a"),
    case("location /ws { %PASS% websocket on; rewrite ^/ws /other last; } location /other { return 404; }", "/ws"),
    case("location /ws { %PASS% websocket on; rewrite ^/ws /other last; } location /other { %PASS% websocket on; }", "/ws"),
    case("location /ws { %PASS% websocket on; rewrite ^ /ws last; }", "/ws"),
    case("location ~ /ws { %PASS% websocket on; rewrite ^ /new permanent; }", "/ws"),
    case("location ~ /ws { %PASS% websocket on; rewrite ^/ws$ /new break; }", "/ws"),
    case("rewrite ^ /index.html last; location /ws { %PASS% websocket on; } location / { root html; }", "/ws"),
    case("rewrite ^/old$ /ws last; location /ws { %PASS% websocket on; }", "/old"),
    case("rewrite ^ https://a.example permanent; location / { %PASS% websocket on; }", "/"),
    case("rewrite ^/ws /other; location /ws { return 404; } location /other { %PASS% websocket on; }", "/ws"),
    case("location /ws { %PASS% websocket on; if ($args) { rewrite ^ /new permanent; } }", "/ws"),
    case("location /ws { %PASS% websocket on; if ($arg_a = b) { return 403; } }", "/ws?a=b").with_address_only(),
    case("location /ws { %PASS% websocket on; if ($http_cookie ~ a) { return 403; } }", "/ws"),
    case("location /ws { %PASS% websocket on; if ($cookie_a = '') { return 403; } }", "/ws").with_address_only(),
    case("location /ws { %PASS% websocket on; if ($http_x_any = '') { return 403; } }", "/ws").with_address_only(),
    case("location /ws { %PASS% websocket on; if ($http_upgrade ~* ^WEB) { return 403; } }", "/ws"),
    case("location /ws { %PASS% websocket on; if ($http_upgrade ~ ^WEB) { return 403; } }", "/ws"),
    case("location /ws { %PASS% websocket on; if ($http_upgrade !~ ^web) { return 403; } }", "/ws"),
    case("location /ws { %PASS% websocket on; if (!-f $request_filename) { break; } return 403; }", "/ws").saying("is assumed to find no file"),
    case("location /ws { if (-f $request_filename) { return 403; } %PASS% websocket on; }", "/ws"),
    case("location / { if (!-e $request_filename) { rewrite ^ /app last; } root html; } location = /app { %PASS% websocket on; }", "/ws"),

    // try_files
    case("location / { try_files $uri =404; %PASS% websocket on; }", "/ws"),
    case("location / { try_files $uri @app; } location @app { %PASS% websocket on; }", "/ws"),
    case("location / { try_files $uri @app; %PASS% websocket on; } location @app { return 404; }", "/ws"),
    case("location / { try_files $uri /index.html; %PASS% websocket on; } location = /index.html { root html; }", "/ws"),
    case("location / { try_files $uri /app; } location = /app { %PASS% websocket on; }", "/ws"),
    case("try_files $uri =404; location / { %PASS% websocket on; }", "/ws"),
    case("try_files $uri @app; location @app { %PASS% websocket on; }", "/ws"),
    case("location / { try_files $uri @app; deny all; } location @app { %PASS% websocket on; }", "/ws").with_address_only(),

    // internal, and how a location is reached
    case("location / { internal; %PASS% websocket on; }", "/"),
    case("location / { try_files /none /app; } location /app { internal; %PASS% websocket on; }", "/ws"),
    case("location /ws/ { %PASS% websocket on; }", "/ws").with_address_only(),
    case("location = /ws { %PASS% websocket on; }", "/ws"),
    case("location = /ws { %PASS% websocket on; }", "/ws/").with_address_only(),
    case("location /ws { %PASS% websocket on; } location ~ ^/w { return 404; }", "/ws").with_address_only(),
    case("location ^~ /ws { %PASS% websocket on; } location ~ ^/w { return 404; }", "/ws"),
    case("location /ws { %PASS% websocket on; }", "/a/../ws").with_address_only(),
    case("location /ws { %PASS% websocket on; }", "//ws").with_address_only(),
    case("location /ws { %PASS% websocket on; }", "/%77s").with_address_only(),
    case("merge_slashes Off; location /ws { %PASS% websocket on; } location / { return 404; }", "//ws").with_address_only(),

    // times
    case("location / { %PASS% websocket on; proxy_read_timeout 0; }", "/"),
    case("location / { %PASS% %HAND% proxy_read_timeout 0s; }", "/"),
    case("location / { %PASS% websocket on; proxy_connect_timeout 0; }", "/"),
    case("location / { %PASS% websocket on; proxy_connect_timeout 0ms; }", "/"),
    case("location / { %PASS% websocket on; proxy_send_timeout 0; }", "/"),

    // upstreams
    case("location / { proxy_pass http://up; websocket on; }", "/").http("upstream up { server %BACKEND%; keepalive 2; }"),
    case("location / { proxy_pass http://up; websocket on; }", "/").http("upstream up { server %BACKEND% down; }"),
    case("location / { proxy_pass http://up; websocket on; }", "/").http("upstream up { server 127.0.0.1:1 down; server %BACKEND%; }"),
    case("set $to %BACKEND%; location / { proxy_pass http://$to; websocket on; }", "/"),
    case("location / { proxy_pass http://%BACKEND%/a/; websocket on; }", "/"),

    // caches, pages of errors, and what else is about
    case("location / { %PASS% websocket on; proxy_intercept_errors on; error_page 404 /x; }", "/").saying("error_page"),
    case("location / { return 404; error_page 404 = @app; } location @app { %PASS% websocket on; }", "/").with_address_only().not_seen("error_page"),
    case("location / { %PASS% websocket on; auth_request /auth; } location = /auth { return 403; }", "/").not_seen("auth_request"),
    case("location / { %PASS% websocket on; auth_basic a; auth_basic_user_file none; error_page 401 = @app; } location @app { %PASS% websocket on; auth_basic off; }", "/").not_seen("error_page"),
    case("location / { %PASS% websocket on; limit_req zone=two; }", "/")
        .http("limit_req_zone $server_name zone=two:1m rate=1r/m;").saying("limit_req"),
    case("location / { %PASS% websocket on; if ($remote_addr = 127.0.0.1) { return 403; } }", "/").not_seen("is not followed"),
    case("location / { %PASS% websocket on; if ($geo) { return 403; } }", "/").http("geo $geo { default 1; }").not_seen("is not followed"),
    case("location / { %PASS% websocket on; allow 10.0.0.0/8; deny all; }", "/").not_seen("by the client's address"),
    case("location / { %PASS% %HAND% proxy_buffering off; }", "/"),
    case("location / { %PASS% %HAND% gzip on; expires 1d; etag off; }", "/"),
    case("location / { %PASS% websocket on; limit_conn one 10; limit_req zone=two burst=5; }", "/")
        .http("limit_conn_zone $server_name zone=one:1m; limit_req_zone $server_name zone=two:1m rate=9r/s;").saying("limit_req"),
];
