"""The runtime of a real process: what fails anywhere stops it, and nothing runs afterwards (L8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from trimaran.node.loop import LoopRuntime


def explode() -> None:
    raise ZeroDivisionError("planted")


def ignore(_: None) -> None:
    """The result of work that has none."""


def ignore_error(_: BaseException) -> None:
    """Where none comes."""


def explode_with(_: None) -> None:
    explode()


@pytest.mark.parametrize(
    "begin",
    [
        lambda runtime: runtime.call_soon(explode),
        lambda runtime: runtime.call_later(1, explode),
        lambda runtime: runtime.run_log(explode, ignore),
        lambda runtime: runtime.run_log(explode, ignore, is_here=True),
        lambda runtime: runtime.run_bulk(explode, ignore),
        lambda runtime: runtime.run_aside(explode, ignore),
        lambda runtime: runtime.run_log(lambda: None, explode_with),
    ],
    ids=[
        *(
            "soon",
            "later",
            "in the log's thread",
            "in a write here",
            "in the bulk thread",
            "in the one aside",
        ),
        "in what follows a write",
    ],
)
async def test_an_exception_anywhere_fails_the_process_and_no_callback_runs_after_it(
    begin: Callable[[LoopRuntime], None],
) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    runtime = LoopRuntime(asyncio.get_running_loop(), failed.set_result)
    ran: list[int] = []
    begin(runtime)
    assert isinstance(await failed, ZeroDivisionError)
    runtime.call_soon(partial(ran.append, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not ran
    runtime.close()


@pytest.mark.parametrize("is_here", [True, False])
async def test_nothing_is_written_behind_the_end(*, is_here: bool) -> None:
    written: list[int] = []
    runtime = LoopRuntime(asyncio.get_running_loop(), ignore_error)
    runtime.close()
    runtime.run_log(partial(written.append, 1), ignore, is_here=is_here)
    await asyncio.sleep(0)
    assert not written


async def test_what_fails_behind_a_write_here_is_not_raised_where_it_was_begun() -> None:
    """Whoever did may be in the middle of a turn of a stream's task, not of a callback."""
    failed: list[BaseException] = []
    runtime = LoopRuntime(asyncio.get_running_loop(), failed.append)
    runtime.run_log(lambda: None, explode_with, is_here=True)
    assert [type(error) for error in failed] == [ZeroDivisionError]
    written: list[int] = []
    runtime.run_log(partial(written.append, 1), ignore, is_here=True)
    assert not written, "nothing is begun by a process that has failed"
    runtime.close()
