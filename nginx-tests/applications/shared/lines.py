"""What the clients share: the server's name means this machine, and each line is a question."""

import asyncio
import socket
import sys

_getaddrinfo = socket.getaddrinfo


def _on_this_machine(host, *rest, **named):
    return _getaddrinfo("127.0.0.1" if host == "app.example" else host, *rest, **named)


socket.getaddrinfo = _on_this_machine


async def answer_lines(ask):
    """Answers each line by `ask`, one after the other, until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            print(await ask(line.strip()), flush=True)
        except Exception as error:
            print(f"error: {type(error).__name__} {error}".splitlines()[0], flush=True)
