"""Python's h2 with wsproto: opens tunnels on one connection, sends messages of these sizes on each and wants them back,
and closes. Prints what became of each."""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection

CONNECT = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
FIELDS = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
]


class Tunnel:
    """One stream: what it has to send, and what has come."""

    def __init__(self, number, sizes):
        self.websocket = Connection(ConnectionType.CLIENT)
        self.messages = [bytes([number]) * size for size in sizes]
        self.received = []
        self.parts = b""
        self.outgoing = b""
        self.code = None
        self.ended = False
        for message in self.messages:
            self.outgoing += self.websocket.send(BytesMessage(data=message))

    def receive(self, data):
        self.websocket.receive_data(data)
        for event in self.websocket.events():
            if isinstance(event, CloseConnection):
                self.code = event.code
            else:
                self.parts += event.data
                if event.message_finished:
                    self.received.append(self.parts)
                    self.parts = b""
                    if len(self.received) == len(self.messages):
                        self.outgoing += self.websocket.send(CloseConnection(code=1000))


def pass_on(connection, streams):
    """Sends what the windows let go."""
    for stream, tunnel in streams.items():
        while tunnel.outgoing:
            room = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)
            if room <= 0:
                break
            connection.send_data(stream, tunnel.outgoing[:room])
            tunnel.outgoing = tunnel.outgoing[room:]


def main(port, count, *sizes):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    wire = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 30), server_hostname="localhost")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    streams = {}
    waiting = []
    while not streams or not all(tunnel.ended for tunnel in streams.values()):
        wire.sendall(connection.data_to_send())
        data = wire.recv(65536)
        if not data:
            sys.exit("nginx has closed the connection")
        for event in connection.receive_data(data):
            stream = getattr(event, "stream_id", None)
            # nginx tells of it in settings of their own, behind its first ones.
            if isinstance(event, h2.events.RemoteSettingsChanged) and CONNECT in event.changed_settings:
                if event.changed_settings[CONNECT].new_value != 1:
                    sys.exit("nginx has no WebSocket over HTTP/2")
                for number in range(int(count)):
                    stream = connection.get_next_available_stream_id()
                    connection.send_headers(stream, FIELDS)
                    streams[stream] = Tunnel(number, [int(size) for size in sizes])
                    waiting.append(stream)
            elif isinstance(event, h2.events.ResponseReceived):
                if (":status", "200") not in event.headers:
                    sys.exit(f"{event.headers}")
                waiting.remove(stream)
            elif isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, stream)
                if event.data:
                    streams[stream].receive(event.data)
            elif isinstance(event, h2.events.StreamReset):
                # Once it has ended, nginx has no use for what may still come (RFC 9113 section 8.1).
                if event.error_code or not streams[stream].ended:
                    sys.exit(f"stream {stream} was reset: {event.error_code}")
            elif isinstance(event, h2.events.StreamEnded):
                streams[stream].ended = True
        pass_on(connection, {stream: streams[stream] for stream in streams if stream not in waiting})
    for number, tunnel in enumerate(streams.values()):
        same = tunnel.received == tunnel.messages
        print(number, len(tunnel.received), tunnel.code, "same" if same else "different")


main(*sys.argv[1:])
