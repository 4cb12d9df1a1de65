"""The client side of `make compose-test`: writes, reads and asks through the published ports.

What was acknowledged is kept in build/compose-test.json between the steps.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trimaran.cluster.slots import shard_of

from .command import trimaran

PORTS = {"n1": 7379, "n2": 7389, "n3": 7399}
LEDGER = Path("build/compose-test.json")
KEYS = 500
SHARDS = 16
PATIENCE_S = 30.0


def client(node: str, db: int) -> redis.Redis:
    return redis.Redis(
        port=PORTS[node],
        db=db,
        decode_responses=True,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
    )


@click.group()
def main() -> None:
    """One step of deploy/compose-test."""


@main.command()
def write() -> None:
    """Write through every published port, and keep what was acknowledged."""
    _write("first", list(PORTS))


@main.command()
@click.option("--without", "dead", required=True)
def write_more(dead: str) -> None:
    """Write while a node is gone."""
    _write("second", [name for name in PORTS if name != dead])


def _write(prefix: str, nodes: list[str]) -> None:
    ledger = json.loads(LEDGER.read_text()) if prefix != "first" else {}
    for db in (0, 1):
        for i in range(KEYS):
            key, value = f"{prefix}:{i}", f"{prefix} {db} {i}"
            if client_set(nodes[i % len(nodes)], db, key, value):
                ledger[f"{db} {key}"] = value
    LEDGER.parent.mkdir(exist_ok=True)
    LEDGER.write_text(json.dumps(ledger))
    click.echo(f"{len(ledger)} writes acknowledged so far, through {', '.join(nodes)}")


_clients: dict[tuple[str, int], redis.Redis] = {}


def client_set(node: str, db: int, key: str, value: str) -> bool:
    """Whether it was acknowledged; tried again while the shard has no leader."""
    connection = _clients.setdefault((node, db), client(node, db))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return bool(connection.set(key, value))
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            if time.monotonic() > deadline:
                raise


@main.command()
@click.option("--without", "dead", default="")
def read(dead: str) -> None:
    """Read everything acknowledged, through every node that is there."""
    ledger = json.loads(LEDGER.read_text())
    for node in PORTS:
        if node == dead:
            continue
        missing = []
        for name, value in ledger.items():
            db, _, key = name.partition(" ")
            connection = _clients.setdefault((node, int(db)), client(node, int(db)))
            if connection.get(key) != value:
                missing.append(name)
        click.echo(f"{node}: {len(ledger) - len(missing)} of {len(ledger)} are there")
        if missing:
            click.echo(f"missing: {missing[:10]}", err=True)
            sys.exit(1)


@main.command()
def leader() -> None:
    """Who leads the shard of the first key."""
    urls = ",".join(f"127.0.0.1:{port}" for port in PORTS.values())
    shards = json.loads(trimaran("status", "--json", "--url", urls).stdout)["shards"]
    first = shard_of(0, b"first:0", SHARDS)
    click.echo(next(one["leader"] for one in shards if one["shard"] == first))


if __name__ == "__main__":
    main()
