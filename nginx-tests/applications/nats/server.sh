# Usage: server.sh PORT
cat >nats.conf <<END
listen: "127.0.0.1:-1"
websocket { host: 127.0.0.1, port: $1, no_tls: true, same_origin: true }
END
exec nats-server -c nats.conf
