"""The command line, `trimaran`: up, down, node, status, cli, top.

Options and texts only. What a command does is imported when it runs: `trimaran --help` should not
wait for gRPC, and nothing here may import the node, which is started by name as any program is.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import click

DEFAULT_PORT = 7379
# Without --url, `status` asks where `up` puts its first nodes: one of them may be down.
DEFAULT_URL = ",".join(f"127.0.0.1:{DEFAULT_PORT + 10 * i}" for i in range(5))
DEFAULT_ADDRESSES = tuple(f"127.0.0.1:{DEFAULT_PORT + 10 * i + 2}" for i in range(3))


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()  # Whoever reads a pipe wants to see `ready:` now.


def _fail(text: str) -> None:
    click.echo(f"trimaran: {text}", err=True)
    sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trimaran")
def main() -> None:
    """Trimaran: the Redis data model, replicated."""


@main.command()
@click.option(
    "--nodes", type=click.IntRange(1, 64), envvar="TRIMARAN_NODES", help="How many nodes. [3]"
)
@click.option(
    "--shards",
    type=click.IntRange(1, 1024),
    envvar="TRIMARAN_SHARDS",
    help="How many shards; fixed once data is there. [16]",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65532),
    default=DEFAULT_PORT,
    envvar="TRIMARAN_PORT",
    show_default=True,
    help="Base port of the first node; the next has it + 10.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    envvar="TRIMARAN_DATA",
    show_default=True,
    help="Folder for all nodes' data.",
)
@click.option(
    "--fsync",
    type=click.Choice(["always", "never"]),
    default="always",
    envvar="TRIMARAN_FSYNC",
    show_default=True,
    help="With never, a power cut loses writes.",
)
@click.option(
    "--host", default="127.0.0.1", envvar="TRIMARAN_HOST", show_default=True, help="Where to bind."
)
@click.option("--announce", envvar="TRIMARAN_ANNOUNCE", help="Address others call, if not --host.")
def up(
    *,
    nodes: int | None,
    shards: int | None,
    port: int,
    data: Path,
    fsync: str,
    host: str,
    announce: str | None,
) -> None:
    """Start a cluster on this machine and watch it until ctrl-C.

    Started again on the same --data it goes on with what is there. Other options of the nodes are
    given as variables: TRIMARAN_COMMAND_TIMEOUT_MS=1000 trimaran up.
    """
    from .plan import Refused, make_plan
    from .up import Cluster

    try:
        plan = make_plan(
            data=data,
            nodes=nodes,
            shards=shards,
            port=port,
            host=host,
            announce=announce,
            fsync=fsync,
        )
        code = Cluster(plan, _say).run()
    except Refused as refused:
        _fail(str(refused))
    else:
        sys.exit(code)


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    envvar="TRIMARAN_DATA",
    show_default=True,
    help="The folder given to `up`.",
)
def down(*, data: Path) -> None:
    """Stop the `up` that runs on this data."""
    from . import up as ups

    sys.exit(ups.down(data, _say))


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Run one node.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def node(*, arguments: tuple[str, ...]) -> None:
    """Run one node; its options are its own (node/config.py)."""
    sys.argv = ["trimaran node", *arguments]
    try:
        runpy.run_module("trimaran.node", run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("trimaran"):
            raise
        _fail(f"{error.name} is missing; a node needs more: pip install 'trimaran[server]'")


@main.command()
@click.option(
    "--url",
    envvar="TRIMARAN_URL",
    help="host:port of any node, or several with commas: the first that answers is asked."
    f" [127.0.0.1:{DEFAULT_PORT} and where `up` puts the next nodes]",
)
@click.option("--json", "is_json", is_flag=True, help="For programs.")
def status(*, url: str | None, is_json: bool) -> None:
    """Nodes, shards, leaders, terms, indexes, lag, memory.

    Exit code 1 if a shard has no leader, or no node answers.
    """
    from .status import Unreachable, ask, table

    reasons = []
    for host, port in _places(url):
        try:
            found = ask(host, port)
        except Unreachable as error:
            reasons.append(str(error))
            continue
        click.echo(json.dumps(found.to_json(), indent=2) if is_json else table(found))
        sys.exit(0 if found.shards and not found.leaderless else 1)
    if not url:
        reasons.append("name any node with --url host:port")
    _fail("\n".join(reasons))


@main.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="gRPC address of any node (base port + 2); may be repeated."
    f" [127.0.0.1:{DEFAULT_PORT + 2} and where `up` puts the next nodes]",
)
@click.option("--url", help="trimaran://[:password@]host:port[,host:port...][/db][?option=value]")
@click.option("-n", "db", type=click.IntRange(0, 15), help="Database. [0]")
@click.option("--password", envvar="TRIMARAN_PASSWORD", help="Best given as TRIMARAN_PASSWORD.")
@click.option("-3", "is_resp3", is_flag=True, help="Replies in the shapes of RESP3.")
@click.option(
    "--raw/--no-raw",
    "is_raw",
    default=None,
    help="Values alone, or as for a terminal; by default as the output is.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Seconds a command may take, its retries included. [10]",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARGUMENT]...]")
def cli(
    *,
    addresses: tuple[str, ...],
    url: str | None,
    db: int | None,
    password: str | None,
    is_resp3: bool,
    is_raw: bool | None,
    timeout: float | None,
    words: tuple[str, ...],
) -> None:
    """Commands over the SDK: a prompt, or one command, or those in the input.

    Without a command and at a terminal it is a prompt with completion. Writes are applied once,
    also while nodes die. Exit code 1 if no node answers or a command failed.
    """
    from redis.exceptions import DataError

    from .errors import NotApplied, Refused
    from .repl import PlainClient, run

    given = {"db": db, "password": password, "timeout": timeout}
    options = {name: value for name, value in given.items() if value is not None}
    options["protocol"] = 3 if is_resp3 else 2
    if url and addresses:
        raise click.UsageError("give --address or --url, not both")
    try:
        if url:
            client = PlainClient.from_url(url, **options)
        else:
            client = PlainClient(*(addresses or DEFAULT_ADDRESSES), **options)
    except DataError as error:
        raise click.UsageError(str(error)) from error
    try:
        code = run(
            client,
            [os.fsencode(word) for word in words],
            is_raw=not sys.stdout.isatty() if is_raw is None else is_raw,
            is_interactive=sys.stdin.isatty(),
        )
    except (NotApplied, Refused) as error:
        hint = "any node is named with --address, its gRPC port; a password with TRIMARAN_PASSWORD"
        _fail(f"{error}\n{hint}")
    else:
        sys.exit(code)


@main.command()
@click.option(
    "--url",
    envvar="TRIMARAN_URL",
    help="host:port of any node, or several with commas, as for `status`.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print one frame and end.")
def top(*, url: str | None, interval: float, once: bool) -> None:
    """Nodes, shards, leaders, rates, latencies and lag, live. q quits.

    Exit code 1 if no node answers.
    """
    from .status import Unreachable
    from .top import show, show_once

    places = _places(url)
    try:
        if once:
            click.echo(show_once(places, interval))
        else:
            show(places, interval)
    except Unreachable as error:
        _fail(f"{error}" if url else f"{error}\nname any node with --url host:port")


def _places(url: str | None) -> list[tuple[str, int]]:
    """Where to ask."""
    try:
        return [parse_url(one.strip()) for one in (url or DEFAULT_URL).split(",")]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from error


def parse_url(url: str) -> tuple[str, int]:
    """Host and port of `host:port`, `redis://host:port/0` or `host`."""
    from urllib.parse import urlsplit

    parts = urlsplit(url if "://" in url else f"//{url}")
    if not parts.hostname:
        raise ValueError(f"{url!r} is not host:port")
    return parts.hostname, parts.port or DEFAULT_PORT


if __name__ == "__main__":
    main(prog_name="trimaran")
