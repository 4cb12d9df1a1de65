"""The README's session works as it is printed there.

The commands are taken from the page and run by one shell; what is replaced are the ports, which
must be free here, and the data folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from .command import START_S, trimaran, until

if TYPE_CHECKING:
    from .conftest import StartUp

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def session() -> list[tuple[str, list[str]]]:
    """The commands of the README's console session about killing a leader, with their output."""
    section = README.split("## Kill a leader")[1].split("\n## ")[0]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, list[str]]] = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ "), []))
        else:
            steps[-1][1].append(line)
    return steps


def plain(line: str) -> str:
    """What redis-cli prints when it does not talk to a terminal."""
    line = re.sub(r"^\(integer\) ", "", line)
    return re.sub(r"cluster [0-9a-f]{16}", "cluster ID", line).strip('"')


def test_the_session_that_kills_a_leader_works_as_printed(start_up: StartUp) -> None:
    up = start_up()
    up.wait_ready()
    steps = session()
    assert any("kill -9" in command for command, _ in steps)
    script = "set -u\n"
    for command, _ in steps:
        for i, base in enumerate((7379, 7389, 7399)):
            command = command.replace(str(base), str(up.port + 10 * i))
        command = command.replace("$PWD/data", str(up.data))
        # The last line counts shards: one that is being elected is not counted yet.
        script += f"echo '<step>'\n{command}\n"
    done = subprocess.run(
        ["bash", "-s"],  # On standard input, so that no command line contains what pgrep looks for.
        input=script,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=START_S,
        env=os.environ | {"TRIMARAN_URL": up.urls},  # noqa: TID251  # For the shell.
    )
    told = [part.strip().splitlines() for part in done.stdout.split("<step>\n")[1:]]
    printed = [output for _, output in steps]
    assert [list(map(plain, one)) for one in told[:-1]] == [
        list(map(plain, one)) for one in printed[:-1]
    ], f"{done.stdout}\n{done.stderr}\n{up.said}"
    # The last command counts the shards, some of which may be at their election.
    expected = plain(printed[-1][0])
    until(
        lambda: plain(trimaran("status", "--url", up.urls).stdout.splitlines()[0]) == expected,
        lambda: trimaran("status", "--url", up.urls).stdout,
        START_S,
    )
    up.wait_for(r"died: killed by SIGKILL; start it again with")


def test_the_urls_of_the_readme_are_those_up_prints(start_up: StartUp) -> None:
    up = start_up("--shards", "1")
    up.wait_ready()
    for url in re.findall(r"redis://127\.0\.0\.1:7379/\d", README):
        assert url.replace("7379", str(up.port)) in up.said


def test_every_make_target_the_documents_name_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"`make ([a-z-]+)", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: {target}"


def test_every_trimaran_command_of_the_documents_is_understood() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for line in re.findall(r"^\$ trimaran (.*)$", page.read_text(), re.MULTILINE):
            words = shlex.split(line.rstrip("\\"))
            known = trimaran(words[0], "--help").stdout
            assert known, line
            for word in words[1:]:
                assert not word.startswith("--") or word in known, line
