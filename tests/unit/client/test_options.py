"""A client is set as said, and what is wrong is refused with what to do."""

from __future__ import annotations

from math import inf, nan
from typing import Any  # Options of several types.

import pytest
from redis.exceptions import DataError

from trimaran.client.client import Client
from trimaran.client.options import Options, options_of, options_of_url
from trimaran.client.sync import SyncClient


def test_without_anything_it_is_the_first_node_of_make_up() -> None:
    assert options_of((), {}) == Options(addresses=("127.0.0.1:7381",))


def test_a_url_says_all_that_arguments_do() -> None:
    url = (
        "trimaran://:se%20cret@a:1,b,[::1]:3/9?timeout=2.5&decode_responses=true&zone=z1"
        "&max_age_ms=50&protocol=3&pending_max=10"
    )
    assert options_of_url(url, {}) == Options(
        addresses=("a:1", "b:7381", "[::1]:3"),
        password="se cret",
        db=9,
        timeout=2.5,
        decode_responses=True,
        zone="z1",
        max_age_ms=50,
        protocol=3,
        pending_max=10,
    )


def test_arguments_count_for_what_the_url_does_not_say() -> None:
    options = options_of_url("trimaran://a/3", {"db": 5, "decode_responses": True})
    assert (options.db, options.decode_responses) == (3, True)


def test_host_and_port_are_an_address() -> None:
    assert options_of((), {"host": "a", "port": 5}).addresses == ("a:5",)
    assert options_of((), {"host": "::1", "port": 5}).addresses == ("[::1]:5",)
    assert options_of((), {"host": "[::1]"}).addresses == ("[::1]:7381",)
    with pytest.raises(DataError, match="'a:0' is no address"):
        options_of((), {"host": "a", "port": 0})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"db": 16}, "databases are 0 to 15"),
        ({"protocol": 4}, "2, 3 or None"),
        ({"password": "ä"}, "use ASCII"),
        ({"password": "a\nb"}, "gRPC cannot carry"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": nan}, "above 0"),
        ({"session_timeout": inf}, "above 0"),
        ({"max_age_ms": -1}, "0 or above"),
        ({"max_age_ms": 2**32}, "below 4294967296"),
        ({"encoding": "utf-99"}, "encoding is 'utf-99': Python has none of that name"),
        ({"encoding_errors": "lax"}, "encoding_errors is 'lax': Python has none of that name"),
        ({"session_timeout": 20}, "four times timeout"),
        ({"ssl": True}, "no TLS yet"),
        ({"ssl_ca_certs": "ca.pem"}, "ssl_ca_certs cannot be used: .*no TLS yet"),
        ({"token": "x"}, "use password"),
        ({"db": "1"}, "db is '1': it must be a whole number"),
        ({"timeout": True}, "timeout is True: it must be a number"),
        ({"decode_responses": "yes"}, "it must be True or False"),
        ({"username": "x"}, "give the password alone"),
    ],
)
def test_bad_options_are_refused_with_what_to_do(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        options_of((), given)


def test_an_unknown_option_is_named_with_those_there_are() -> None:
    with pytest.raises(TypeError, match="unknown option 'databse'; there are db, decode_responses"):
        Client(databse=3)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "is no address"),
        (":7381", "is no address"),
        ("a:b", "is no address"),
        ("a:\N{ARABIC-INDIC DIGIT ONE}", "is no address"),
        (" a:1", "is no address"),
        ("a b", "is no address"),
        ("a:1,b:2", "each of several is an argument of its own"),
        ("trimaran://a:1", "is a URL: use from_url"),
        ("http://a", "is a URL"),
        (7381, "it must be text"),
        (None, "it must be text"),
        (("a", 1), "it must be text"),
    ],
)
def test_what_is_no_address_is_refused_at_once(address: Any, says: str) -> None:
    for kind in (Client, SyncClient):
        with pytest.raises(DataError, match=says):
            kind(address)


@pytest.mark.parametrize(
    ("address", "is_taken_for"),
    [
        ("a", "a:7381"),
        ("a_b.c-d:1", "a_b.c-d:1"),
        ("10.0.0.1:1", "10.0.0.1:1"),
        ("::1", "[::1]:7381"),
        ("[::1]", "[::1]:7381"),
        ("[fe80::1%eth0]:2", "[fe80::1%eth0]:2"),
    ],
)
def test_an_address_may_be_a_name_or_a_number(address: str, is_taken_for: str) -> None:
    assert options_of((address,), {}).addresses == (is_taken_for,)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://a", "not trimaran://"),
        ("rediss://a", "no TLS yet"),
        ("trimaran://a/x", "is no database"),
        ("trimaran://a?timeout=soon", "not understood"),
        ("trimaran://a?decode_responses=maybe", "not understood"),
        ("trimaran://me:x@a", "username cannot be used"),
        ("trimaran://a?ssl=true", "no TLS yet"),
        ("trimarans://a", "no TLS yet"),
        ("trimaran://a?token=x", "use password"),
        ("trimaran://a:70000", "is no address"),
        ("trimaran://a?timeout=nan", "above 0"),
        ("trimaran://[::1", "not understood"),
        (b"trimaran://a", "it must be text"),
        (None, "it must be text"),
    ],
)
def test_bad_urls_are_refused_with_what_to_do(url: Any, says: str) -> None:
    for kind in (Client, SyncClient):
        with pytest.raises(DataError, match=says):
            kind.from_url(url)


@pytest.mark.parametrize("age", [-1, 1.5, True, None, "5"])
def test_a_view_with_a_bad_age_of_reads_is_refused(age: Any) -> None:
    for kind in (Client, SyncClient):
        with pytest.raises(DataError, match="max_age_ms is "):
            kind().stale(age)


@pytest.mark.parametrize("timeout", [0, nan, True, None, "5", 1e6])
def test_a_view_with_a_bad_time_out_is_refused(timeout: Any) -> None:
    for kind in (Client, SyncClient):
        with pytest.raises(DataError, match="timeout"):
            kind().with_timeout(timeout)
