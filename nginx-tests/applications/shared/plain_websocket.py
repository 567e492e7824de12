"""A WebSocket without a library on top, as `new WebSocket` is: it is not opened again by itself.

Usage: plain_websocket.py HOST:PORT PATH
"""

import asyncio
import sys

from lines import answer_lines
from websockets.asyncio.client import connect


async def main():
    authority, path = sys.argv[1:]
    opened = connect(f"ws://{authority}{path}", origin=f"http://{authority}")
    websocket = None

    async def ask(text):
        nonlocal websocket
        websocket = websocket or await opened
        await websocket.send(text)
        return await asyncio.wait_for(websocket.recv(), 20)

    await answer_lines(ask)


asyncio.run(main())
