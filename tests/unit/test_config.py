"""One value from four sources, and every fault at once."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from trimaran.cluster.topology import ListenerInfo
from trimaran.node.config import Config, Founder, Listener, check, load, split_address, usage
from trimaran.node.errors import ConfigError

GOOD = ["--name", "n1", "--data", "/d", "--port", "7379"]


def test_defaults_alone_are_sound_once_name_data_and_port_are_given() -> None:
    config = load(GOOD, {})
    assert (config.name, config.data_dir, config.port) == ("n1", "/d", 7379)
    assert config.fsync == "always"
    assert check(config) == []


def test_a_flag_goes_before_a_variable_and_a_variable_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("clients_max = 1\nshards = 1\nzone = 'a'\n")
    environ = {"TRIMARAN_SHARDS": "2", "TRIMARAN_CLIENTS_MAX": "2"}
    config = load([*GOOD, "--config", str(file), "--clients-max=3"], environ)
    assert (config.zone, config.shards, config.clients_max) == ("a", 2, 3)


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("shards = 8\n")
    assert load(GOOD, {"TRIMARAN_CONFIG": str(file)}).shards == 8


def test_every_fault_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("no_such_key = 1\nclients_max = 'many'\nelements_max = true\n")
    arguments = ["--config", str(file), "--oops", "--port", "70000", "--fsync", "maybe", "--zone"]
    with pytest.raises(ConfigError) as caught:
        load(arguments, {"TRIMARAN_FSNYC": "never", "TRIMARAN_FOUNDERS": "n1"})
    text = str(caught.value)
    for fault in (
        f"{file}: no_such_key: there is no such option",
        f"{file}: clients_max: 'many' is not a whole number",
        f"{file}: elements_max: True is not a whole number",
        "--oops: there is no such option",
        "--zone: the value is missing",
        "TRIMARAN_FSNYC: there is no such option",
        "TRIMARAN_FOUNDERS: 'n1' is not name=host:port",
        "port: 70000 is not between 1 and 65532",
        "fsync: 'maybe' is neither always nor never",
        "name: missing",
        "data: missing",
    ):
        assert fault in text


def test_a_missing_or_broken_file_is_a_fault_like_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("port = \n")
    for path in (broken, tmp_path / "absent.toml"):
        with pytest.raises(ConfigError, match=re.escape(str(path))) as caught:
            load(["--config", str(path)], {})
        assert "name: missing" in str(caught.value)


def test_variables_of_other_programs_are_left_alone() -> None:
    environ = {
        "PATH": "/bin",
        "TRIMARAN_NODES": "3",  # `trimaran up --nodes`.
        "TRIMARAN_SERVICE_HOST": "10.0.0.1",  # Kubernetes, for a Service named trimaran.
        "TRIMARAN_PORT_7379_TCP": "tcp://10.0.0.1:7379",
    }
    assert load(GOOD, environ) == load(GOOD, {})


def test_a_flag_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="--port: given twice"):
        load([*GOOD, "--port", "1"], {})


def test_founders_and_peers_parse_from_text_and_from_a_toml_list(tmp_path: Path) -> None:
    members = (Founder("n1", "10.0.0.1", 7381), Founder("n2", "::1", 7391))
    file = tmp_path / "node.toml"
    file.write_text("peers = ['n1=10.0.0.1:7381', 'n2=[::1]:7391']\n")
    config = load(
        [*GOOD, "--config", str(file), "--founders", "n1=10.0.0.1:7381,n2=[::1]:7391"], {}
    )
    assert config.founders == config.peers == members
    assert str(members[1]) == "n2=[::1]:7391"


@pytest.mark.parametrize(
    ("founders", "fault"),
    [
        ("n2=a:1,n3=b:1", "n1 itself is not among them"),
        ("n1=a:1,n1=b:1", "n1 is named twice"),
        ("n1=a:1,n2=a:1", "a:1 is named twice"),
        ("n1=a:1,N2=b:1", "name 'N2'"),
    ],
)
def test_founders_that_cannot_be_meant_are_refused(founders: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load([*GOOD, "--founders", founders], {})


def test_the_announced_address_falls_back_to_the_bound_one_part_by_part() -> None:
    assert load(GOOD, {}).reached_at == ("127.0.0.1", 7379)
    assert load([*GOOD, "--announce", "db1"], {}).reached_at == ("db1", 7379)
    assert load([*GOOD, "--announce", "db1:9000"], {}).reached_at == ("db1", 9000)


def test_an_address_nobody_can_call_must_be_announced_otherwise() -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 is no address others could call"):
        load([*GOOD, "--host", "0.0.0.0"], {})
    with pytest.raises(ConfigError, match="no address others could call"):
        load([*GOOD, "--host", "0.0.0.0", "--announce", "0.0.0.0"], {})
    assert load([*GOOD, "--host", "0.0.0.0", "--announce", "db1"], {}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--election-timeout-ms", "200"], "less than three times heartbeat_interval_ms"),
        (["--lease-ms", "501"], "lease_ms: 501 is more than 500"),
        (["--lease-ms", "400", "--election-timeout-ms", "300"], "lease_ms: 400 is more than elec"),
        (["--tick-interval-ms", "500"], "tick_interval_ms: 500 is more than"),
        (["--bulk-bytes-max", "100000000"], "bulk_bytes_max: 100000000 is more than"),
        (["--batch-bytes", "100000000"], "batch_bytes: 100000000 is more than segment_bytes"),
        (["--clients-max", "0"], "clients_max: 0 is less than 1"),
        (["--client-idle-timeout-s", "-1"], "client_idle_timeout_s: -1 is less than 0"),
        (["--shards", "1025"], "shards: 1025 is more than 1024"),
        (["--log-level", "loud"], "log_level: 'loud' is none of"),
    ],
)
def test_values_that_contradict_one_another_are_refused(flags: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load([*GOOD, *flags], {})


@pytest.mark.parametrize(
    ("text", "pair"),
    [("a:1", ("a", 1)), ("[::1]:65535", ("::1", 65535)), ("10.0.0.1:80", ("10.0.0.1", 80))],
)
def test_an_address_splits_into_host_and_port(text: str, pair: tuple[str, int]) -> None:
    assert split_address(text) == pair


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "::1:80", "[::1", "[::1]80"])
def test_an_address_without_a_sound_port_or_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) + "|is not a port number"):
        split_address(text)


def test_every_field_has_a_flag_a_help_text_and_a_line_at_start() -> None:
    help_text = usage()
    lines = list(load(GOOD, {}).lines())
    for one in dataclasses.fields(Config):
        assert one.metadata["help"].endswith((".", "error"))
        assert any(line.startswith(f"{one.name} = ") for line in lines)
        if not one.name.startswith("announce_"):
            flag = (one.metadata["flag"] or one.name).replace("_", "-")
            assert f"  --{flag}\n" in help_text
    assert "  --announce HOST[:PORT]\n" in help_text


def test_the_password_is_not_shown_where_the_configuration_is(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("requirepass = 'the secret'\n")
    by_file = load([*GOOD, "--config", str(file)], {})
    by_variable = load(GOOD, {"TRIMARAN_REQUIREPASS": "the secret"})
    by_flag = load([*GOOD, "--requirepass", "the secret"], {})
    assert by_file == by_variable == by_flag
    assert by_flag.requirepass == "the secret"
    assert "requirepass = (set)" in by_flag.lines()
    assert "requirepass = " in load(GOOD, {}).lines()
    assert "secret" not in "".join(by_flag.lines()) + repr(by_flag)


def test_a_fault_does_not_tell_the_password(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("requirepass = 4711\n")
    with pytest.raises(ConfigError) as caught:
        load([*GOOD, "--config", str(file), "--requirepas=4711"], {})
    assert f"{file}: requirepass: is not a text" in str(caught.value)
    assert "--requirepas: there is no such option" in str(caught.value)
    assert "4711" not in str(caught.value)


# --- Listeners.

OUTSIDE = Listener("outside", "0.0.0.0", 17379, "127.0.0.1", 17379)


def test_a_listener_has_a_name_a_bound_and_an_announced_address() -> None:
    config = load([*GOOD, "--listen", "outside=0.0.0.0:17379,announce=127.0.0.1:17379"], {})
    assert config.listen == (OUTSIDE,)
    assert config.listeners == (ListenerInfo("outside", "127.0.0.1", 17379),)
    assert "listen = outside=0.0.0.0:17379,announce=127.0.0.1:17379" in config.lines()


def test_what_a_listener_does_not_announce_is_what_it_binds() -> None:
    words = ["--listen", "a=10.0.0.1:1000", "--listen", "b=10.0.0.1:2000,announce=db1"]
    assert load([*GOOD, *words], {}).listeners == (
        ListenerInfo("a", "10.0.0.1", 1000),
        ListenerInfo("b", "db1", 2000),
    )


def test_several_listeners_come_by_repeated_flags_semicolons_or_a_toml_list(tmp_path: Path) -> None:
    one, two = "b=10.0.0.1:1000", "a=[::1]:2000,announce=[::1]:3000"
    file = tmp_path / "node.toml"
    file.write_text(f"listen = ['{one}', '{two}']\n")
    flags = load([*GOOD, "--listen", one, f"--listen={two}"], {})
    assert flags.listen == (
        Listener("b", "10.0.0.1", 1000),
        Listener("a", "::1", 2000, "::1", 3000),
    )
    assert flags == load(GOOD, {"TRIMARAN_LISTEN": f"{one}; {two};"})
    assert flags == load(GOOD, {"TRIMARAN_CONFIG": str(file)})
    assert [info.name for info in flags.listeners] == ["a", "b"], "the same at every start"
    assert f"listen = {one};{two}" in flags.lines()


def test_the_doors_are_the_nodes_own_and_those_of_the_listeners() -> None:
    config = load([*GOOD, "--listen", "outside=0.0.0.0:17379,announce=127.0.0.1:17379"], {})
    assert config.doors == (Listener("", "127.0.0.1", 7379), OUTSIDE)
    assert config.reached_at == ("127.0.0.1", 7379)


@pytest.mark.parametrize(
    ("listen", "fault"),
    [
        ("outside", "--listen: 'outside' is not name=host:port"),
        ("outside=db1", "'db1' has no port"),
        ("outside=:1", "':1' has no host"),
        ("outside=db1:x", "'x' is not a port number"),
        ("outside=db1:1,anounce=a:1", "'anounce=a:1' of listener outside: only announce="),
        ("outside=db1:1,announce=a:1,announce=b:1", "only announce="),
        ("outside=db1:1,announce=", "'' has no host"),
        ("=db1:1", "name '' is not 1 to 32 of a-z, 0-9 and -"),
        ("Outside=db1:1", "name 'Outside' is not"),
        ("a=db1:1;a=db2:1", "a is named twice"),
        ("a=db1:65534", "a: port 65534 is more than 65533"),
        ("a=db1:1,announce=db1:65534", "a: announce: port 65534 is more than 65533"),
        ("a=0.0.0.0:1", "a: 0.0.0.0 is no address others could call: announce="),
        ("a=db1:1,announce=0.0.0.0", "a: 0.0.0.0 is no address others could call"),
        ("a=127.0.0.1:7382", "a: ports 7382 to 7384 overlap the node's own ports, 7379 to 7382"),
        ("a=127.0.0.1:7377", "overlap the node's own ports"),
        ("a=0.0.0.0:7380,announce=db1", "overlap the node's own ports"),
        ("a=db1:10;b=db1:12", "b: ports 12 to 14 overlap listener a, 10 to 12"),
    ],
)
def test_listeners_that_cannot_be_meant_are_refused(listen: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        load([*GOOD, "--listen", listen], {})


def test_every_fault_of_every_listener_is_reported_at_once() -> None:
    words = ["--listen", "A=0.0.0.0:7379", "--listen", "b=127.0.0.1:7383;b=127.0.0.1:7386"]
    with pytest.raises(ConfigError) as caught:
        load([*GOOD, *words], {})
    text = str(caught.value)
    assert text.count("listen: ") == 4, text  # Its name, its address, its ports; b is named twice.


def test_ports_beside_one_another_or_of_other_addresses_do_not_overlap() -> None:
    listen = "a=127.0.0.1:7383;b=127.0.0.1:7376;c=10.0.0.1:7379"
    assert check(load([*GOOD, "--listen", listen], {})) == []
