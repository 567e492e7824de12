"""Both ends of Autobahn's cases, for the tests of conformance.

    cases.py test        tests: is the client that plays the cases to a server, or the server
    cases.py tested      is tested: an echo server, and a client that sends back what it gets

Each takes the files of a certificate and its key, says in a line of JSON on which ports it listens,
and then answers each line of JSON with another, until its input ends.
"""

import asyncio
import json
import os
import socket
import ssl
import sys

HOST = "127.0.0.1"
# More would only wait for a processor, and some cases have a second.
AT_ONCE = 8


async def main():
    role, certificate, key = sys.argv[1:]
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=certificate)
    party = {"test": Testing, "tested": Tested}[role](server, client)
    say(await party.listen())
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await party.do(json.loads(line)))


def say(value):
    print(json.dumps(value), flush=True)


# ---- who tests ---------------------------------------------------------------


class Testing:
    """Autobahn's cases, which kosoku plays; it knows no TLS, so that is put around it."""

    def __init__(self, server, client):
        self.server, self.client = server, client

    async def listen(self):
        self.port = free_port()
        relay = await relayed(lambda: asyncio.open_connection(HOST, self.port), ssl=self.server)
        return {"plain": self.port, "tls": port_of(relay)}

    async def do(self, ask):
        if "serve" in ask:
            return await self.serve(ask["serve"])
        if "result" in ask:
            return await self.result()
        return await self.play(ask["port"], ask["tls"], ask["play"])

    async def play(self, port, tls, cases):
        from kosoku import run_fuzzingclient

        if not tls:
            return await outcomes(run_fuzzingclient(f"{HOST}:{port}", cases, concurrency=AT_ONCE))
        there = {"ssl": self.client, "server_hostname": "localhost"}
        async with await relayed(lambda: asyncio.open_connection(HOST, port, **there)) as relay:
            address = f"{HOST}:{port_of(relay)}"
            return await outcomes(run_fuzzingclient(address, cases, concurrency=AT_ONCE))

    async def serve(self, cases):
        from kosoku import run_fuzzingserver

        self.run = run_fuzzingserver(cases, host=HOST, port=self.port)
        await self.run.__aenter__()
        return {}

    async def result(self):
        found = await outcomes(self.run.get_result())
        await self.run.__aexit__(None, None, None)
        return found


async def outcomes(run):
    from kosoku import FailureError

    try:
        results = await run
    except FailureError as failure:
        results = failure.results
    return [outcome(result) for result in results]


def outcome(result):
    received = result.received or []
    others = [event for event in received if event[0] != "ping"]
    # No one who is tested sends a Ping of his own.
    pings = len(received) - len(others)
    return {
        "case": result.case_id,
        "behavior": result.behavior.value,
        "apart": apart_from_pings(result, others) if pings else result.behavior.value,
        "close": result.behavior_close.value,
        "code": result.remote_close_code,
        "pings": pings,
        "reason": f"{result.result} {result.result_close}",
        "wire": [repr(event)[:120] for event in result.wirelog[-40:]],
    }


# They wait in the middle of a frame of their own, and the answer to a Ping goes into it.
PONG_WITHIN_A_FRAME = ["6.4.3", "6.4.4"]


def apart_from_pings(result, others):
    """The verdict on a case were it not for the Pings; None where a Ping has changed its course.

    A case that lists no events closes the connection at any that it gets.
    """
    verdict = result.behavior.value
    if verdict != "FAILED":
        return verdict
    if not result.expected or result.case_id in PONG_WITHIN_A_FRAME:
        return None
    same = [name for name, events in result.expected.items() if list(events) == others]
    return (same + [verdict])[0]


# ---- who is tested -----------------------------------------------------------


class Tested:
    """Python's websockets, which offers and takes permessage-deflate."""

    def __init__(self, server, client):
        self.server, self.client = server, client

    async def listen(self):
        from websockets.asyncio.server import serve

        known = {"max_size": None, "ping_interval": None}
        self.plain = await serve(echo, HOST, 0, **known)
        self.tls = await serve(echo, HOST, 0, ssl=self.server, **known)
        return {"plain": port_of(self.plain), "tls": port_of(self.tls)}

    async def do(self, ask):
        scheme, options = "ws", {}
        if ask["tls"]:
            scheme, options = "wss", {"ssl": self.client, "server_hostname": "localhost"}
        base = f"{scheme}://{HOST}:{ask['port']}"
        async with connection(f"{base}/getCaseCount", options) as count:
            cases = int(await count.recv())
        turn = asyncio.Semaphore(AT_ONCE)
        numbers = range(1, cases + 1)
        await asyncio.gather(*(self.visit(turn, base, number, options) for number in numbers))
        async with connection(f"{base}/updateReports?agent=websockets", options):
            return {"cases": cases}

    async def visit(self, turn, base, number, options):
        url = f"{base}/runCase?case={number}&agent=websockets"
        async with turn, connection(url, options) as case:
            await echo(case)


async def echo(connection):
    from websockets.exceptions import ConnectionClosed

    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # The verdict is the other side's.


def connection(url, options):
    from websockets.asyncio.client import connect

    return connect(url, max_size=None, ping_interval=None, open_timeout=60, **options)


# ---- TLS around those who know none ------------------------------------------


async def relayed(connect, **options):
    """A server on a free port that carries the bytes of each connection over another one."""
    # The loop itself does not hold them.
    tasks = set()

    async def carry(reader, writer):
        task = asyncio.current_task()
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            there, back = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))

    return await asyncio.start_server(carry, HOST, 0, **options)


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def port_of(server):
    return list(server.sockets)[0].getsockname()[1]


def free_port():
    with socket.create_server((HOST, 0)) as found:
        return found.getsockname()[1]


asyncio.run(main())
