"""Names become addresses off the loop; the last good answer is kept."""

from __future__ import annotations

import asyncio

import pytest

from trimaran.node.names import Address, Names


async def test_an_address_needs_no_look_up() -> None:
    names = Names()
    assert await names.target(Address("10.1.2.3", 7381)) == "ipv4:10.1.2.3:7381"
    assert await names.target(Address("::1", 7381)) == "ipv6:[::1]:7381"


async def test_a_name_is_looked_up() -> None:
    assert await Names().target(Address("localhost", 9)) in ("ipv4:127.0.0.1:9", "ipv6:[::1]:9")


async def test_a_name_that_never_resolved_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"no-such-host\.invalid cannot be resolved"):
        await Names(timeout_ms=20_000).target(Address("no-such-host.invalid", 9))


async def test_a_name_that_is_no_name_is_an_os_error() -> None:
    with pytest.raises(OSError, match="cannot be resolved"):
        await Names().target(Address("a..b" + "c" * 70, 9))


async def test_a_look_up_that_takes_too_long_gives_what_was_known() -> None:
    names = Names(timeout_ms=1)
    names._known["peer"] = ["10.0.0.7"]
    names._asking["peer"] = asyncio.get_running_loop().create_future()  # It never answers.
    assert await names.target(Address("peer", 9)) == "ipv4:10.0.0.7:9"


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert str(Address("::1", 9)) == "[::1]:9"
    assert str(Address("host", 9)) == "host:9"
