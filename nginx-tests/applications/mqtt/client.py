"""Publishes what it is asked, and prints what the broker delivers to its subscription."""

import asyncio
import sys

from lines import answer_lines
from paho.mqtt.client import CallbackAPIVersion, Client

TOPIC = "said"


async def main():
    host, port = sys.argv[1].split(":")
    loop = asyncio.get_running_loop()
    heard, subscribed = asyncio.Queue(), asyncio.Event()
    client = Client(CallbackAPIVersion.VERSION2, transport="websockets")
    # A browser's, where the client is a page.
    client.ws_set_options(path="/mqtt", headers={"Origin": f"http://{sys.argv[1]}"})
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    client.on_disconnect = lambda *_: loop.call_soon_threadsafe(subscribed.clear)
    client.on_message = lambda *args: loop.call_soon_threadsafe(heard.put_nowait, args[2].payload)
    client.connect_async(host, int(port))
    client.loop_start()

    async def ask(text):
        await asyncio.wait_for(subscribed.wait(), 30)
        client.publish(TOPIC, text, qos=1)
        return (await asyncio.wait_for(heard.get(), 30)).decode()

    await answer_lines(ask)
    client.disconnect()
    client.loop_stop()


asyncio.run(main())
