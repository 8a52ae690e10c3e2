"""Receives one page view with Python's `websockets` and writes it to a file.

Usage: subscriber.py WEBSOCKET-URL FILE
"""

import asyncio
import json
import sys
from pathlib import Path

from websockets.asyncio.client import connect


async def main(url: str, file: str) -> None:
    # The gateway is on this machine: no proxy of the environment is asked.
    async with connect(url, proxy=None) as socket:
        # Commands are answered in order, so the pong says that we are in.
        await socket.send('{"type":"ping"}')
        async for message in socket:
            kind = json.loads(message).get("type")
            if kind == "pong":
                print("ready", flush=True)
            elif kind == "page_view":
                Path(file).write_bytes(message.encode())
                return


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), timeout=60))
