# Usage: server.sh PORT
# The second listener, because this mosquitto ends where it has none but WebSocket's.
cat >mosquitto.conf <<END
listener $1 127.0.0.1
protocol websockets
listener 0 mosquitto.sock
allow_anonymous true
user root
END
exec mosquitto -c mosquitto.conf
