"""The table of what commands cost to apply."""

from __future__ import annotations

import pytest

from trimaran.proto.reply import ErrorReply

from ...bench import apply
from ...model.driver import Driver


@pytest.mark.parametrize("name", [name for name, _, _ in apply.COMMANDS])
def test_every_command_of_the_table_changes_something(name: str) -> None:
    # One that fails, or finds nothing to do, would be cheap.
    (mine,) = [(text, before) for one, text, before in apply.COMMANDS if one == name]
    prepares, commands = apply.batches(*mine, apply.ENTRY)[0]
    driver = Driver()
    if prepares:
        driver.apply(list(prepares[0]))
    before = driver.keys.digest()
    assert not isinstance(driver.apply(list(commands[0])), ErrorReply)
    assert driver.keys.digest() != before


def test_the_table_has_both_costs_beside_those_of_set() -> None:
    costs = list(apply.measure(["SET", "INCR"], rounds=1, count=200))
    assert [one.name for one in costs] == ["SET", "INCR"]
    rows = apply.table(costs).splitlines()
    assert len(rows) == 4
    assert all(row.count("|") == 7 for row in rows)
