"""`make bench`: SET and GET through three ways into Trimaran, in alternating rounds beside etcd.

`python -m tests.bench --help` tells the options. Other things than the whole cluster:
`layers`    the parts of a node inside one process
`apply`     what each write command costs to apply there
`types`     commands of every type beside a Redis that syncs its log always, and beside etcd
`memory`    what keys and elements take, beside Redis
`sdk`       trimaran.Client beside etcd through grpcio and redis-py's cluster client
`channels`  one publisher with many subscribers, beside Redis and a Redis Cluster
`pauses`    the longest stretch of each command on a million elements, and what others notice
`expiry`    what others notice of a million keys that are due in the same second
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ..chaos import tools
from ..chaos.cluster import Cluster
from ..chaos.etcd import EtcdCluster
from ..chaos.processes import Processes, free_ports
from . import beside_redis, channels, expiry, report, sdk
from .generators import Shape
from .kinds import KINDS
from .rounds import EtcdWay, Way, idle_cpu_percent, measure, our_ways, usable

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
SIZE = 3  # Nodes of ours, members of etcd.
IDLE_S = 3.0


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    directory: Path = options.dir.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    if options.what == "cluster":
        tools.ensure(["redis-benchmark", "h2load", "etcd", "etcdctl"])
        text = _beside_etcd(directory, options)
    else:
        table = _part(directory, options)
        text = report.part_section(
            options.what, _command(), table, report.fdatasync_us(directory), ROOT
        )
    print(text)
    if not options.quick and not options.no_docs:
        report.prepend(DOCUMENT, text)
        print(f"written to {DOCUMENT.relative_to(ROOT)}")
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _command() -> str:
    return shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]])


def _part(directory: Path, options: argparse.Namespace) -> str:
    """The table of anything but the whole cluster."""
    if options.what == "expiry":
        return _expiry(directory, options)
    if options.what == "channels":
        return _channels(directory, options)
    if options.what == "sdk":
        return _sdk(directory, options)
    if options.what == "types":
        return _types(directory, options)
    # Here, since a client of the cluster needs nothing of what a node is made of.
    from . import apply, layers

    if options.what == "pauses":
        return _pauses(directory, options)
    if options.what == "memory":
        return _memory(directory, options)
    if options.what == "layers":
        return layers.measured(directory, seconds=options.seconds / 10)
    rounds = 1 if options.quick else apply.ROUNDS
    return apply.table(list(apply.measure(options.commands, rounds=rounds)))


def _expiry(directory: Path, options: argparse.Namespace) -> str:
    runs = []
    for _ in range(options.rounds):
        with Processes() as processes:
            fsync = ("--fsync", options.fsync)
            cluster = Cluster(
                processes, directory / "ours", rng=random.Random(), size=SIZE, options=fsync
            )
            cluster.wait_settled()
            runs.append(expiry.measure(cluster, options.keys // (50 if options.quick else 1)))
        shutil.rmtree(directory / "ours")
    return expiry.table(runs)


def _channels(directory: Path, options: argparse.Namespace) -> str:
    with Processes() as processes, channels.ways(processes, directory) as found:
        counts = [10] if options.quick else options.subscribers
        rows = channels.table(list(channels.measure(found, counts, rounds=options.rounds)))
        floods = [channels.unheard(way) for way in found if len(way.pids) > 1]
        return "\n\n".join([rows, *floods])


def _sdk(directory: Path, options: argparse.Namespace) -> str:
    tools.ensure(["etcd", "etcdctl"])
    tasks = [1, sdk.MANY] if options.quick else options.tasks
    found = []
    with Processes() as processes:
        contenders = sdk.start(processes, directory, options.fsync)
        for one in sdk.measure(
            contenders, options.ops, tasks, rounds=options.rounds, seconds=options.seconds
        ):
            print(sdk.line(one), flush=True)
            found.append(one)
    return sdk.table(found)


def _types(directory: Path, options: argparse.Namespace) -> str:
    tools.ensure(["redis-benchmark", "h2load", "etcd", "etcdctl"])
    _check_types(options.types, [kind.name for kind in KINDS])
    wanted = options.types or (beside_redis.QUICK if options.quick else [])
    kinds = [kind for kind in KINDS if not wanted or kind.name in wanted]
    found = []
    with Processes() as processes:
        servers = beside_redis.start(processes, directory, options.fsync)
        for load in (Shape("SET", 50, 1), Shape("SET", 256, 16)):
            if load.clients not in options.clients:
                continue
            for one in beside_redis.measure(
                servers,
                load,
                kinds,
                rounds=options.rounds,
                seconds=options.seconds,
                progress=lambda text: print(text, file=sys.stderr, flush=True),
            ):
                print(beside_redis.line(one), flush=True)
                found.append(one)
    return beside_redis.table(found)


def _pauses(directory: Path, options: argparse.Namespace) -> str:
    from . import pauses, pauses_cluster

    words = pauses.Words(options.elements // (100 if options.quick else 1))
    stretches = pauses.in_process(words, options.commands)
    with Processes() as processes:
        # How long commands take is measured: on a slow machine none of them is to be given up.
        flags = ("--fsync", options.fsync, "--command-timeout-ms", "60000")
        cluster = Cluster(
            processes, directory / "ours", rng=random.Random(), size=SIZE, options=flags
        )
        cluster.wait_settled()
        noticed = pauses_cluster.in_cluster(cluster, words, options.commands)
    return pauses.table(words.size, stretches, noticed)


def _check_types(wanted: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"--types: no {', '.join(unknown)} here; there are: {', '.join(known)}")


def _memory(directory: Path, options: argparse.Namespace) -> str:
    from . import memory

    _check_types(options.types, memory.TYPES)
    sizes = [10, 1_000] if options.quick else options.sizes
    found = []
    for one in memory.measure(directory, options.types or memory.TYPES, sizes, options.databases):
        print(memory.line(one), flush=True)
        found.append(one)
    return memory.table(found)


def _beside_etcd(directory: Path, options: argparse.Namespace) -> str:
    ops: list[str] = options.ops
    shapes = [
        Shape(op, clients, pipeline)
        for clients in options.clients
        for pipeline in options.pipelines
        for op in ops
    ]
    with Processes() as processes:
        return _measured(processes, directory, shapes, options)


def _measured(
    processes: Processes, directory: Path, shapes: Sequence[Shape], options: argparse.Namespace
) -> str:
    rng, load_before = random.Random(), os.getloadavg()[0]
    base_port = free_ports(EtcdCluster.ports(SIZE), rng)
    etcd = EtcdCluster(processes, directory / "etcd", base_port, SIZE)
    etcd.wait_ready()
    ways: list[Way] = [EtcdWay(etcd, directory)]
    idle = {"etcd": idle_cpu_percent(etcd.pids, IDLE_S)}
    if not options.etcd_only:
        fsync = ("--fsync", options.fsync)
        ours = Cluster(processes, directory / "ours", rng=rng, size=SIZE, options=fsync)
        ours.wait_settled()
        ways += our_ways(ours)
        idle["ours"] = idle_cpu_percent(ours.pids, IDLE_S)
    ways, left_out = usable(ways)
    settings = report.Settings(
        command=_command(),
        fsync=options.fsync,
        rounds=options.rounds,
        seconds=options.seconds,
        idle_cpu_percent=idle,
        fdatasync_us=report.fdatasync_us(directory),
        load_before=load_before,
        left_out=left_out,
    )
    results = []
    for result in measure(ways, shapes, rounds=options.rounds, seconds=options.seconds):
        results.append(result)
        shape = result.shape
        print(
            f"{shape.op} {shape.clients:3} clients, pipeline {shape.pipeline:2}: "
            + ", ".join(
                f"{way.name} {result.median(way.name, lambda sample: sample.load.rate):,.0f}/s "
                f"{result.median(way.name, lambda sample: sample.server_us):.0f} us"
                for way in ways
            ),
            flush=True,
        )
    return report.section(results, settings, ROOT)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=[
            *("cluster", "layers", "apply", "expiry", "channels", "memory", "types", "pauses"),
            "sdk",
        ],
        default="cluster",
    )
    parser.add_argument("--quick", action="store_true", help="one short round; not kept")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    parser.add_argument("--etcd-only", action="store_true", help="without our cluster")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    parser.add_argument("--clients", type=_numbers, default=[1, 50, 256], help="e.g. 1,50")
    parser.add_argument("--tasks", type=_numbers, default=[1, 50, 500], help="of sdk")
    parser.add_argument("--pipelines", type=_numbers, default=[1, 16], help="e.g. 1,16")
    parser.add_argument("--ops", type=lambda text: text.split(","), default=["SET", "GET"])
    parser.add_argument(
        "--commands",
        type=lambda text: re.split(",(?! )", text),  # Names of apply may have a comma in them.
        default=[],
        help="of apply, e.g. SET,XADD; of pauses, where a beginning of a name will do",
    )
    parser.add_argument(
        "--subscribers", type=_numbers, default=[100, 1_000, 10_000], help="of channels"
    )
    parser.add_argument(
        "--types",
        type=lambda text: text.split(","),
        default=[],
        help="of memory: e.g. list,hash; of types: e.g. LPUSH,XADD",
    )
    parser.add_argument("--sizes", type=_numbers, default=[10, 1_000, 1_000_000], help="of memory")
    parser.add_argument("--databases", type=_numbers, default=[0, 1], help="of memory: 0, 1")
    parser.add_argument("--keys", type=int, default=1_000_000, help="of expiry")
    parser.add_argument("--elements", type=int, default=1_000_000, help="of pauses")
    parser.add_argument("--fsync", choices=["always", "never"], default="always")
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "build" / "bench", help="emptied; data of both clusters"
    )
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
