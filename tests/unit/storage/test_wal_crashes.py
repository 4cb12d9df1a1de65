"""Random lives of a log, with the power cut anywhere: what was promised is there, nothing else.

Each seed saves, conflicts, compacts, installs, frees and prepares at random, and is interrupted at
random: killed, cut off from power in the middle of any operation (opening included), or by a sync
that fails. After each start the log must equal the model as of the last batch whose write returned,
or the one that was being written, and no third thing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from trimaran.cluster.slots import ShardId
from trimaran.node.raft.types import (
    NOBODY,
    ZERO,
    Entry,
    EntryKind,
    HardState,
    ReplicaId,
    Restored,
    SnapshotMeta,
)
from trimaran.node.storage.sim_disk import PowerCut
from trimaran.node.storage.wal import ShardSave

from .rig import VOTERS, Rig, created, meta

if TYPE_CHECKING:
    from random import Random

SHARDS = [ShardId(0), ShardId(7), ShardId(0xFFFF)]
SEEDS = 100
STEPS = 50


@dataclass(slots=True)
class Model:
    """A replica's disk in the simplest words there are."""

    hard_state: HardState = field(default_factory=lambda: HardState(0, NOBODY))
    base: SnapshotMeta = field(default_factory=lambda: SnapshotMeta(ZERO, VOTERS))
    log: list[Entry] = field(default_factory=list)  # From base.id.index + 1.

    @property
    def last(self) -> int:
        return self.base.id.index + len(self.log)

    def apply(self, save: ShardSave) -> None:
        if save.hard_state:
            self.hard_state = save.hard_state
        if save.reset:
            self.base, self.log = save.reset, []
        for entry in save.entries:
            place = entry.index - self.base.id.index - 1
            if place < 0 or (place < len(self.log) and self.log[place].term == entry.term):
                continue
            self.log = [*self.log[:place], entry]

    def snapshot(self, snapshot: SnapshotMeta) -> None:
        """A snapshot is on disk; what of the log does not lead through it does not count."""
        skipped = snapshot.id.index - self.base.id.index
        if skipped == 0:
            through = self.base.id.term
        else:
            through = self.log[skipped - 1].term if skipped <= len(self.log) else 0
        self.log = self.log[skipped:] if through == snapshot.id.term else []
        self.base = snapshot

    def restored(self) -> Restored:
        return Restored(self.hard_state, self.base, tuple(self.log))


class Life:
    def __init__(self, seed: int) -> None:
        self.rig = Rig(seed)
        self.rng: Random = self.rig.rng
        self.models: dict[ShardId, Model] = {}
        self.data = 0

    def run(self) -> None:
        for _ in range(STEPS):
            self.step()
        self.rig.disk.power_cut()
        self.start([self.models])

    def step(self) -> None:
        saves = self.choose_saves()
        after = {shard: copy.copy(model) for shard, model in self.models.items()}
        for save in saves:
            if save.created:
                after[save.shard] = Model()
            after[save.shard].apply(save)
        fault = self.rng.choice(("none",) * 6 + ("kill", "unwritten", "power", "sync"))
        if fault == "power":
            self.rig.disk.cut_power_in(self.rng.randint(1, 12))
        elif fault == "sync":
            self.rig.disk.fail_sync_in(self.rng.randint(1, 3))
        try:
            staged = self.rig.log.stage(saves)
            if fault != "unwritten":
                self.rig.log.write(staged)
        except (PowerCut, OSError):
            self.interrupted([self.models, after])
            return
        if fault == "unwritten":
            self.rig.free()  # By what is on disk, not by what is staged.
            self.interrupted([self.models])
            return
        self.models = after
        try:
            self.keep_house()
        except (PowerCut, OSError):
            self.interrupted([self.models])
            return
        if fault != "none":
            self.interrupted([self.models])

    def interrupted(self, candidates: list[dict[ShardId, Model]]) -> None:
        if self.rng.random() < 0.5:
            self.rig.disk.kill()
        else:
            self.rig.disk.power_cut()
        self.start(candidates)

    def start(self, candidates: list[dict[ShardId, Model]]) -> None:
        """Open, perhaps only after being cut off while opening, and compare."""
        while True:
            if self.rng.random() < 0.3:
                self.rig.disk.cut_power_in(self.rng.randint(1, 8))
            try:
                self.rig.open()
            except PowerCut:
                self.rig.disk.power_cut()
                continue
            self.rig.disk.calm()
            break
        for models in candidates:
            for shard, snapshot in self.rig.snapshots.items():
                models[shard].snapshot(snapshot)
        found = {shard: one.restored for shard, one in self.rig.found.items()}
        expected = [
            {shard: model.restored() for shard, model in models.items()} for models in candidates
        ]
        assert found in expected
        self.models = candidates[expected.index(found)]
        # What one start has found, every later one must find: it has been promised by now.
        if self.rng.random() < 0.5:
            self.rig.disk.power_cut()
            self.rig.open()
            assert {shard: one.restored for shard, one in self.rig.found.items()} == found

    def keep_house(self) -> None:
        if self.rng.random() < 0.3 and (work := self.rig.log.prepare()) is not None:
            work()
        if self.rng.random() < 0.3:
            self.rig.free()
        if self.models and self.rng.random() < 0.15:
            shard = self.rng.choice(list(self.models))
            model = self.models[shard]
            if model.log:
                entry = self.rng.choice(model.log)
                self.rig.compact(entry.term, entry.index, shard)
                model.snapshot(meta(entry.term, entry.index))

    def choose_saves(self) -> list[ShardSave]:
        missing = [shard for shard in SHARDS if shard not in self.models]
        if missing and self.rng.random() < 0.5:
            return [created(missing[0], replica=1 + len(self.models))]
        if not self.models:
            return []
        chosen = self.rng.sample(list(self.models), self.rng.randint(1, len(self.models)))
        return [self.choose_save(shard, self.models[shard]) for shard in chosen]

    def choose_save(self, shard: ShardId, model: Model) -> ShardSave:
        rng = self.rng
        term, first = max(model.hard_state.term, 1), model.last + 1
        kind = rng.choice(("append",) * 6 + ("conflict", "conflict", "again", "part", "install"))
        match kind:
            case "conflict" if model.log:
                term += 1
                first = rng.choice(model.log).index
                if first > model.base.id.index + 1 and rng.random() < 0.5:
                    # Raft sends what fits along with what does not.
                    place = first - model.base.id.index - 2
                    kept = (model.log[place],)
                    return ShardSave(
                        shard, self.state(term), entries=(*kept, *self.new(term, first))
                    )
                return ShardSave(shard, self.state(term), entries=self.new(term, first))
            case "again" if model.log:
                return ShardSave(shard, entries=tuple(model.log))
            case "part" if model.log:
                start = rng.randrange(len(model.log))
                return ShardSave(shard, entries=tuple(model.log[start : start + rng.randint(1, 4)]))
            case "install":
                snapshot = meta(term + 1, model.base.id.index + rng.randint(1, 20))
                if rng.random() < 0.3:
                    snapshot = meta(term + 1, model.last + 1)
                self.rig.snapshots[shard] = snapshot
                return ShardSave(shard, self.state(term + 1), reset=snapshot)
            case _:
                state = self.state(term + 1) if rng.random() < 0.2 else self.state(term)
                return ShardSave(shard, state, entries=self.new(state.term, first))

    def state(self, term: int) -> HardState:
        return HardState(term, ReplicaId(1))

    def new(self, term: int, first: int) -> tuple[Entry, ...]:
        made = []
        for index in range(first, first + self.rng.randint(1, 5)):
            self.data += 1
            size = self.rng.choice((0, 10, 100, 700, 9000 if self.rng.random() < 0.1 else 300))
            made.append(Entry(term, index, EntryKind.COMMANDS, b"%d" % self.data + b"." * size))
        return tuple(made)


@pytest.mark.parametrize("first_seed", range(0, SEEDS, 25))
def test_what_was_written_is_found_and_nothing_else_wherever_it_is_interrupted(
    first_seed: int,
) -> None:
    for seed in range(first_seed, first_seed + 25):
        try:
            Life(seed).run()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
