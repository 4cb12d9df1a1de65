"""What clients ask for: commands that there are, all types, and clients that get somewhere."""

from __future__ import annotations

from random import Random

from trimaran.node.commands import HANDLERS
from trimaran.node.data import table
from trimaran.node.data.buckets import buckets_of
from trimaran.node.data.values import TYPES

from .churn import MAKERS, Churn
from .optimist import Optimist
from .run import Simulation
from .scenarios import make_scenario
from .schedule import Schedule, Trace
from .sizes import small_sizes
from .watch import WATCHED

SCENARIOS = [make_scenario(seed) for seed in range(300)]
CALM = [one.seed for one in SCENARIOS if one.flavour == "calm" and one.has_collections][:3]


def played(seed: int) -> Simulation:
    simulation = Simulation(make_scenario(seed), Schedule(Trace()), WATCHED)
    with small_sizes():
        simulation.run()
    return simulation


def test_churn_knows_its_commands() -> None:
    makers = {maker for some in MAKERS.values() for maker in some}
    names = {maker(Random(1), b"key", b"value")[0] for maker in makers}
    assert names <= set(HANDLERS)


def test_churn_meets_every_kind_on_every_shard() -> None:
    churn = Churn(Random(1), 3)
    met = {(key.kind, key.shard) for key, _ in [churn.choose() for _ in range(2000)]}
    assert met == {(kind, shard) for kind in MAKERS for shard in range(3)}


def test_values_of_every_type_are_there_at_the_end() -> None:
    found = {kind for seed in CALM for kind in _types_at_the_end(played(seed))}
    assert found == set(TYPES)


def _types_at_the_end(simulation: Simulation) -> set[type]:
    return {
        type(value)
        for process in simulation.cluster.processes()
        for shard in process.node.engine.shards.values()
        for database in shard.keys._databases
        for bucket in buckets_of(database.slots)
        for value in bucket.values.values()
    }


def test_clients_of_watch_are_carried_out_and_refused() -> None:
    optimists = [client for client in played(CALM[0]).clients if isinstance(client, Optimist)]
    assert sum(client.committed for client in optimists) > 0
    assert sum(client.aborted for client in optimists) > 0


def test_sizes_are_as_before_behind_a_run() -> None:
    before = table.CHUNK_MAX
    with small_sizes():
        assert before > table.CHUNK_MAX
    assert before == table.CHUNK_MAX
