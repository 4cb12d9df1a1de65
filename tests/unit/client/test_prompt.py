"""The prompt of `trimaran cli`, without a cluster."""

from __future__ import annotations

import stat
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory

from trimaran.client.prompt import HISTORY, TableCompleter, history_in, prompt_text
from trimaran.client.repl import PlainClient, Session


def test_a_completion_replaces_the_word_that_was_begun() -> None:
    found = list(TableCompleter().get_completions(Document("client ki"), CompleteEvent()))
    assert [(one.text, one.start_position) for one in found] == [("kill", -2)]


async def test_history_is_the_users_own_and_leaves_out_passwords(tmp_path: Path) -> None:
    history = history_in(tmp_path)
    for line in ("SET k v", "AUTH secret", "config set requirepass secret", " SET private 1"):
        history.append_string(line)
    path = tmp_path / HISTORY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line async for line in history_in(tmp_path).load()] == ["SET k v"]
    assert "secret" not in path.read_text()


def test_without_a_place_for_it_history_is_kept_in_memory(tmp_path: Path) -> None:
    assert isinstance(history_in(tmp_path / "none"), InMemoryHistory)


async def test_the_prompt_shows_database_and_transaction() -> None:
    written: list[bytes] = []
    session = Session(PlainClient("127.0.0.1:1"), written.append, is_raw=False)
    assert prompt_text(session) == "trimaran> "
    assert await session.run([b"select", b"3"])
    assert await session.run([b"MULTI"])
    assert prompt_text(session) == "trimaran[3](TX)> "
    assert not await session.run([b"SELECT", b"16", b"17"])
    assert not await session.run([b"EXEC"])
    assert prompt_text(session) == "trimaran[3]> "
    assert written == [
        b"OK\n",
        b"OK\n",
        b"(error) ERR wrong number of arguments for 'select' command\n",
        b"(error) EXECABORT Transaction discarded because of previous errors.\n",
    ]
