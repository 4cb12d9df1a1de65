"""The examples work as their pages say.

The commands are taken from the pages and run by a shell; what is replaced are the ports, which must
be free here, and the data folder.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: messages are JSON.

import aiohttp
import pytest

from ..chaos.processes import Process, free_ports
from .command import START_S, Up, until

if TYPE_CHECKING:
    import random

    from ..chaos.processes import Processes
    from .conftest import StartUp

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[2]
PAGE_PORTS = (8001, 8002)


@pytest.fixture
def up(start_up: StartUp) -> Up:
    up = start_up()
    up.wait_ready()
    return up


def commands(example: str, up: Up, page_ports: int = 0) -> list[str]:
    """What stands behind a prompt on the example's page, block by block."""
    page = (ROOT / "examples" / example / "README.md").read_text()
    found: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        lines = [line.removeprefix("$ ") for line in block.splitlines()]
        script = "\n".join(lines).replace("$PWD/data", str(up.data))
        for node, name in enumerate(("n1", "n2", "n3")):
            script = script.replace(str(7381 + 10 * node), str(up.base(name) + 2))
        for place, port in enumerate(PAGE_PORTS):
            script = script.replace(str(port), str(page_ports + place))
        found.append(script)
    return found


def start(processes: Processes, up: Up, name: str, command: str) -> Process:
    output = up.data.parent / f"{name}.output"
    return processes.start(name, ["bash", "-c", f"cd {ROOT}\nexec {command}"], output)


# --- The shop.


def test_the_shop_is_right_after_the_node_that_leads_it_was_killed(
    processes: Processes, up: Up
) -> None:
    buy, kill = commands("shop", up)
    load = start(processes, up, "load", buy)
    until(
        lambda: re.search(r"^ +3 s +[1-9]", load.tail(), re.MULTILINE) or not load.is_running,
        load.tail,
        START_S,
    )
    before = {name: up.pid(name) for name in ("n1", "n2", "n3")}
    done = subprocess.run(
        ["bash", "-s"],  # On standard input, so that no command line contains what pgrep looks for.
        input=kill,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=START_S,
        env=os.environ | {"TRIMARAN_URL": up.urls},  # noqa: TID251  # For the shell.
    )
    assert done.returncode == 0, done.stderr
    leader = up.wait_for(r"(n\d) .*died: killed by SIGKILL").group(1)
    assert leader in before
    until(lambda: not load.is_running, load.tail, 90)
    told = load.tail(1 << 20)
    assert load.exit_code == 0, told
    assert "Traceback" not in told, told
    assert len(re.findall(r"(?m)^\w+ +delivered .* right$", told)) == 5, told
    orders = re.search(r"(?m)^([\d,]+) orders: 0 there twice, 0 answered and missing$", told)
    assert orders is not None, told
    assert int(orders.group(1).replace(",", "")) > 100
    counts = [int(one.replace(",", "")) for one in re.findall(r"(?m)^ *\d+ s +([\d,]+)", told)]
    assert counts[-1] > 2 * counts[2], told  # They went on without the node that was killed.


# --- The chat.


class Browser:
    """A page in a room."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: dict[str, tuple[str, str]] = {}  # By id, as the page shows them.

    async def say(self, name: str, text: str) -> None:
        await self.socket.send_json({"name": name, "text": text})

    async def hear(self, *texts: str) -> None:
        """Reads until all of these were said."""
        async with asyncio.timeout(START_S):
            while not set(texts) <= set(self.texts):
                message: dict[str, Any] = await self.socket.receive_json()
                assert "error" not in message, message
                self.seen[message["id"]] = (message["name"], message["text"])

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.seen.values()]


async def test_people_talk_in_two_rooms_over_two_servers_and_a_killed_node(
    processes: Processes, up: Up, ports_rng: random.Random
) -> None:
    page_ports = free_ports(range(2), ports_rng)
    servers = [
        start(processes, up, f"chat-{place}", command)
        for place, command in enumerate(commands("chat", up, page_ports))
    ]
    assert len(servers) == 2
    until(
        lambda: all("Running on" in server.tail() for server in servers),
        lambda: "\n".join(server.tail() for server in servers),
        START_S,
    )
    first, second = (f"http://127.0.0.1:{page_ports + place}" for place in range(2))
    async with aiohttp.ClientSession() as session:

        async def browser(server: str, room: str) -> Browser:
            return Browser(await session.ws_connect(f"{server}/rooms/{room}"))

        async with session.get(f"{second}/") as page:
            assert "/rooms/" in await page.text()
        ann, bob = await browser(first, "lobby"), await browser(second, "lobby")
        cook, guest = await browser(first, "kitchen"), await browser(second, "kitchen")
        await ann.say("Ann", "hello")
        await bob.say("Bob", "<b>hi</b>")
        await cook.say("Cook", "soup?")
        for one in (ann, bob):
            await one.hear("hello", "<b>hi</b>")
        await guest.hear("soup?")
        assert set(ann.seen.values()) == {("Ann", "hello"), ("Bob", "<b>hi</b>")}
        assert guest.texts == ["soup?"]

        await bob.socket.send_str("nonsense")
        # What was said while he entered comes twice: as history, and live.
        while "id" in (answer := await bob.socket.receive_json()):
            assert answer["id"] in bob.seen
        assert answer == {"error": "that is no message"}

        up.kill("n2")  # The one that the second server was told of.
        said = [f"still here {number}" for number in range(20)]
        for text in said:
            await ann.say("Ann", text)
        await bob.hear(*said)
        assert bob.texts[2:] == said  # Each once, in order.

        late = await browser(second, "lobby")
        await late.hear("hello", said[-1])
        assert set(late.texts) == {"hello", "<b>hi</b>", *said}
        for one in (ann, bob, cook, guest):
            await one.socket.close()
        for server in servers:  # One of which has still somebody to talk to.
            assert server.is_running
            await asyncio.to_thread(server.terminate)
            assert server.exit_code == 0, server.tail()
