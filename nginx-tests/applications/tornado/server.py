import asyncio
import sys

from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Say(WebSocketHandler):
    def on_message(self, text):
        self.write_message(text.upper())


async def main():
    Application([("/ws", Say)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
