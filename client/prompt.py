"""The prompt of `trimaran cli`: a line editor with history, completion and hints."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.layout.processors import AfterInput
from prompt_toolkit.styles import Style

from .hints import candidates, hint
from .repl import Quit

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from .repl import Session

HISTORY = ".trimaran_history"
SLOW_S = 0.5  # What takes longer is told how long.
_STYLE = Style.from_dict({"hint": "ansibrightblack"})
# They may hold a password.
_PRIVATE = ("auth", "hello", "acl setuser", "config set requirepass", "migrate", " ")

_LISTENING = (b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE")  # What is ended in no other way.


class TableCompleter(Completer):
    """From the command table."""

    def get_completions(self, document: Document, _: CompleteEvent) -> Iterator[Completion]:
        last, found = candidates(document.text_before_cursor)
        for one in found:
            yield Completion(one.word, start_position=-len(last), display_meta=one.about)


class LineHistory(FileHistory):
    """Without what is nobody's business: passwords, and lines that begin with a blank."""

    def store_string(self, string: str) -> None:
        if not string.lower().startswith(_PRIVATE):
            super().store_string(string)


def history_in(folder: Path) -> History:
    """That of the user, readable by nobody else; in memory alone where that cannot be."""
    path = folder / HISTORY
    try:
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return LineHistory(str(path))


def _hint() -> StyleAndTextTuples:
    document = get_app().current_buffer.document
    return [("class:hint", hint(document.text) if document.is_cursor_at_the_end else "")]


def prompt_text(session: Session) -> str:
    """What stands in front of the line."""
    db = f"[{session.db}]" if session.db else ""
    return f"trimaran{db}{'(TX)' if session.is_in_transaction else ''}> "


async def converse(session: Session) -> int:
    """Read and carry out lines until the user leaves; the exit code."""
    topology = await session.client.topology()
    up = sum(node.is_reachable for node in topology.nodes.values())
    sys.stdout.write(
        f"cluster {topology.cluster_id}, {up} of {len(topology.nodes)} nodes up;"
        " Tab completes, ctrl-D leaves, help helps\n"
    )
    lines: PromptSession[str] = PromptSession(
        history=history_in(Path.home()),
        completer=TableCompleter(),
        complete_while_typing=False,
        enable_history_search=True,
        input_processors=[AfterInput(_hint)],
        style=_STYLE,
    )
    while True:
        try:
            line = await lines.prompt_async(prompt_text(session))
            if line.strip().lower() == "clear":
                lines.app.renderer.clear()
                continue
            await _carry_out(session, line.encode("utf-8", "surrogateescape"))
        except KeyboardInterrupt:
            continue  # The line is given up.
        except (EOFError, Quit):
            return 0


async def _carry_out(session: Session, line: bytes) -> None:
    """Ctrl-C ends it, and not the program."""
    begun = time.monotonic()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(session.run_line(line))
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        if not line.lstrip().upper().startswith(_LISTENING):
            sys.stdout.write("(interrupted; what was sent may have been applied)\n")
    else:
        took_s = time.monotonic() - begun
        if took_s >= SLOW_S:
            sys.stdout.write(f"({took_s:.2f}s)\n")
    finally:
        loop.remove_signal_handler(signal.SIGINT)
