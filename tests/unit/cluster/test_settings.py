"""Cluster-wide parameters as values: what is read, kept, shown, and refused."""

from __future__ import annotations

import json

import pytest

from trimaran.cluster.parameters import INT_MAX, LONG_MAX, Integer, parse_memory
from trimaran.cluster.settings import (
    DEFAULTS,
    PARAMETERS,
    TABLE,
    Settings,
    pack_settings,
    settings_of,
    unpack_settings,
)
from trimaran.cluster.topology import NodeInfo, Topology

TOPOLOGY = Topology(1, 4, 2, (NodeInfo("n1", 7, "10.0.0.1", 7379),), (), ())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("", 0),
        ("7b", 7),
        ("1k", 1000),
        ("1kb", 1024),
        ("2Mb", 2 << 20),
        ("2m", 2_000_000),
        ("3G", 3_000_000_000),
        ("3gB", 3 << 30),
        ("18446744073709551616", (1 << 64) - 1),
    ],
)
def test_memory_has_units_of_thousands_and_of_1024(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["-1", "1.5gb", "10%", "1 ", "0x10", "+5", "1tb", "x", "9" * 128])
def test_what_is_no_memory_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="argument must be a memory value"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["", "x", "5kb", "+5", "007", "-0", " 5", "1.0", "9" * 30])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="argument couldn't be parsed into an integer"):
        Integer(0, LONG_MAX).parse(text)


def test_bounds_are_told() -> None:
    with pytest.raises(ValueError, match="argument must be between 1 and 2147483647 inclusive"):
        Integer(1, INT_MAX).parse("0")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("", ""),
        ("KEA", "AKE"),
        ("E$lK", "$lKE"),
        ("g$lshzxetd", "A"),
        ("g$lshzxet", "g$lshzxet"),
        ("Agm", "Am"),
        ("KEn", "nKE"),
        ("AnK", "AK"),
    ],
)
def test_events_are_shown_in_one_order(asked: str, shown: str) -> None:
    settings = Settings.of([("notify-keyspace-events", asked)])
    assert dict(settings.show())["notify-keyspace-events"] == shown


def test_what_is_kept_is_the_whole_value_also_where_less_is_shown() -> None:
    kept = Settings.of([("notify-keyspace-events", "AnK")]).changed()
    assert "n" in Settings.of(kept).notify_keyspace_events


def test_every_default_is_one_that_its_own_kind_reads_and_keeps() -> None:
    for one in TABLE:
        assert one.kind.parse(one.kind.text(one.default)) == one.default, one.name
        assert one.help.endswith("."), one.name


def test_only_what_differs_from_the_defaults_is_kept() -> None:
    settings = Settings.of([("maxmemory", "1gb"), ("maxmemory-samples", "5")])
    assert settings.changed() == (("maxmemory", str(1 << 30)),)
    assert Settings.of(settings.changed()) == settings
    assert DEFAULTS.changed() == ()


def test_an_old_name_sets_the_same_parameter() -> None:
    settings = Settings.of([("hash-max-ziplist-entries", "7")])
    assert settings.changed() == (("hash-max-listpack-entries", "7"),)
    assert {dict(settings.show())[name] for name in PARAMETERS if name.startswith("hash-max-")} == {
        "7",
        "64",
    }


@pytest.mark.parametrize("pair", [("no-such-thing", "1"), ("maxmemory-samples", "0")])
def test_settings_of_another_version_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=pair[0]):
        Settings.of([pair])
    with pytest.raises(ValueError, match=pair[0]):
        unpack_settings(pack_settings((pair,)))


def test_bytes_are_the_same_settings_and_are_parsed_once() -> None:
    pairs = Settings(maxmemory=1 << 20, notify_keyspace_events="AKE", lfu_decay_time=0).changed()
    data = pack_settings(pairs)
    assert unpack_settings(data) == settings_of(pairs) == Settings.of(pairs)
    assert unpack_settings(data) is unpack_settings(bytes(bytearray(data)))
    assert pack_settings(()) == b""
    assert unpack_settings(b"") is DEFAULTS


# --- In the topology.


def test_other_settings_are_another_epoch() -> None:
    changed = TOPOLOGY.with_settings((("maxmemory", "1kb"),))
    assert (changed.epoch, changed.settings) == (5, (("maxmemory", "1024"),))
    back = changed.with_settings((("maxmemory", "0"),))
    assert (back.epoch, back.settings) == (6, ())


def test_the_same_settings_are_no_other_topology() -> None:
    assert TOPOLOGY.with_settings((("maxmemory", "0"),)) is TOPOLOGY


def test_settings_outlive_other_changes_and_json() -> None:
    changed = TOPOLOGY.with_settings((("maxmemory", "1kb"),)).with_address("n1", "10.0.0.2", 1)
    assert Topology.from_json(json.loads(json.dumps(changed.to_json()))) == changed
    assert changed.settings == (("maxmemory", "1024"),)


def test_a_topology_without_settings_has_the_defaults() -> None:
    value = TOPOLOGY.to_json()
    del value["settings"]
    assert Topology.from_json(value) == TOPOLOGY


def test_a_topology_with_a_setting_that_is_not_known_is_refused() -> None:
    value = TOPOLOGY.to_json() | {"settings": {"later": "1"}}
    with pytest.raises(ValueError, match="'later': it was made by another version"):
        Topology.from_json(value)
