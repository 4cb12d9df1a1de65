"""Rooms to talk in: live over channels, and their last messages from a stream.

Each message is kept in the room's stream first, which gives it an id, and published on the room's
channel then. Channels are at most once, streams are kept: where a subscriber may have missed
something it is told so (`trimaran.Gap`), and the room's last messages are sent again. The page
shows a message once, by its id, whatever way and however often it comes.

How to run it stands in README.md.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

import trimaran

SHOWN = 50  # Messages of a room that are sent to who enters.
KEPT = 1_000  # Messages of a room that its stream keeps, about.
TEXT_MAX = 2_000  # Characters of a message,
NAME_MAX = 40  # and of its author's name.

PAGE = Path(__file__).with_name("page.html")
CLIENT = web.AppKey("client", trimaran.Client)


async def say(client: trimaran.Client, room: str, name: str, text: str) -> None:
    """Have a message kept, once, and told to everybody in the room."""
    message = {"name": name[:NAME_MAX], "text": text[:TEXT_MAX]}
    message_id = await client.stream(f"chat:{room}").publish(message, maxlen=KEPT)
    while True:
        try:
            await client.publish(f"chat:{room}", json.dumps({"id": message_id, **message}))
        except trimaran.OutcomeUnknown:
            continue  # Told twice does no harm: it has the same id.
        return


async def send_history(client: trimaran.Client, room: str, socket: web.WebSocketResponse) -> None:
    """The room's last messages, the oldest first."""
    for message_id, message in reversed(await client.xrevrange(f"chat:{room}", count=SHOWN)):
        await socket.send_json({"id": message_id, **message})


async def listen(client: trimaran.Client, room: str, socket: web.WebSocketResponse) -> None:
    """What is said in the room from now on, on whatever node; and first what was said before."""
    try:
        async with client.pubsub(gaps=True, ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(f"chat:{room}")
            await send_history(client, room, socket)  # Subscribed already: nothing is missed.
            async for message in pubsub:
                if isinstance(message, trimaran.Gap):
                    await send_history(client, room, socket)
                else:
                    await socket.send_str(message["data"])
    finally:
        await socket.close()  # Who hears nothing should not talk. The page comes back by itself.


async def enter(request: web.Request) -> web.WebSocketResponse:
    """A browser in a room, for as long as it stays."""
    client, room = request.app[CLIENT], request.match_info["room"]
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=16_384)
    await socket.prepare(request)
    listening = asyncio.create_task(listen(client, room, socket))
    try:
        async for said in socket:
            try:
                message = said.json()
                await say(client, room, str(message["name"]), str(message["text"]))
            except (ValueError, TypeError, KeyError):
                await socket.send_json({"error": "that is no message"})
            except trimaran.TrimaranError as error:
                await socket.send_json({"error": str(error)})
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return socket


async def page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


def application(node: str) -> web.Application:
    async def connected(app: web.Application) -> AsyncIterator[None]:
        async with trimaran.Client(node, decode_responses=True) as client:
            app[CLIENT] = client
            yield

    app = web.Application()
    app.cleanup_ctx.append(connected)
    app.router.add_get("/", page)
    app.router.add_get("/rooms/{room:[a-z0-9-]{1,40}}", enter)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat server. Start as many as you like.")
    parser.add_argument("--port", type=int, default=8001, help="of the page")
    parser.add_argument("--node", default="127.0.0.1:7381", help="gRPC address of any node")
    options = parser.parse_args()
    # Browsers stay connected, so they are not waited for at the end.
    web.run_app(application(options.node), host="127.0.0.1", port=options.port, shutdown_timeout=1)
