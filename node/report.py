"""INFO's sections, as far as the node knows them: memory, persistence, the keyspace, itself.

Called when somebody asks, and some of it ten times a second for rates. Nothing here walks keys.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..cluster.slots import DATABASES, META_SHARD
from .doors.backend import MemoryFacts
from .doors.info import human
from .rates import Rates

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .clock import Clock
    from .doors.door import Clients
    from .node import Node
    from .peers import Peers

Fields: TypeAlias = "Mapping[str, str | int]"


class Report:
    """What a node tells of itself; `sample` is called at every tick."""

    def __init__(self, node: Node, peers: Peers, clock: Clock, clients: Clients) -> None:
        self._node = node
        self._peers = peers
        self._clock = clock
        self._clients = clients
        self._peak = 0
        self._counts = _Counts(node)
        clients.reset_node_counts = self._counts.reset
        self._rates = Rates(("ops", "input", "output", "input_repl", "output_repl"))

    def sample(self, now_ns: int) -> None:
        if self._rates.is_due(now_ns):
            self._counts.update()
            clients = self._clients
            received, sent = self._peer_bytes()
            self._rates.sample(
                now_ns,
                (clients.commands, clients.input_bytes, clients.output_bytes, received, sent),
            )
            self._peak = max(self._peak, self._used())

    def sections(self) -> Mapping[str, Fields]:
        node = self._node
        return {
            "server": {
                "hz": 1000 // node.config.tick_interval_ms,
                "configured_hz": 1000 // node.config.tick_interval_ms,
                "config_file": "",
            },
            "memory": self._memory(),
            "persistence": self._persistence(),
            "stats": self._stats(),
            "replication": {
                "master_replid": f"{node.topology.cluster_id:040x}",
                "master_repl_offset": self.applied_total(),
            },
            "keyspace": self._keyspace(),
            "trimaran": {
                "node": node.name,
                "cluster_id": f"{node.topology.cluster_id:016x}",
                "epoch": node.topology.epoch,
                "shards": node.topology.shards,
                "shards_led": sum([one.is_leader for one in node.engine.shards.values()]),
                "fsync": node.config.fsync,
            },
        }

    def applied_total(self) -> int:
        return sum([shard.applied_index for shard in self._node.engine.shards.values()])

    def memory(self) -> MemoryFacts:
        used = self._used()
        self._peak = max(self._peak, used)
        return MemoryFacts(
            used=used,
            peak=self._peak,
            resident=resident_bytes(),
            keys=sum(
                [
                    shard.keys.count(db)
                    for shard in self._node.engine.shards.values()
                    for db in shard.keys.databases
                    if db < DATABASES
                ]
            ),
            log=self._node.engine.log_memory_bytes,
            links=sum([link.queue_bytes for link in self._peers.links.values()]),
        )

    def _used(self) -> int:
        return sum([shard.keys.memory_bytes for shard in self._node.engine.shards.values()])

    def _peer_bytes(self) -> tuple[int, int]:
        """Received from other nodes and sent to them."""
        links = self._peers.links.values()
        return (
            sum([link.counters.bytes_in for link in links]),
            sum([link.log.bytes + link.control.bytes for link in links]),
        )

    # --- Sections.

    def _memory(self) -> Fields:
        memory = self.memory()
        system = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {
            "used_memory": memory.used,
            "used_memory_human": human(memory.used),
            "used_memory_rss": memory.resident,
            "used_memory_rss_human": human(memory.resident),
            "used_memory_peak": memory.peak,
            "used_memory_peak_human": human(memory.peak),
            "used_memory_peak_perc": f"{memory.used * 100 / max(memory.peak, 1):.2f}%",
            "used_memory_dataset": memory.used,
            "total_system_memory": system,
            "total_system_memory_human": human(system),
            # No scripts and no functions yet.
            "used_memory_lua": 0,
            "used_memory_lua_human": "0B",
            "used_memory_vm_eval": 0,
            "used_memory_scripts_eval": 0,
            "number_of_cached_scripts": 0,
            "number_of_functions": 0,
            "number_of_libraries": 0,
            "used_memory_vm_functions": 0,
            "used_memory_vm_total": 0,
            "used_memory_vm_total_human": "0B",
            "used_memory_functions": 0,
            "used_memory_scripts": 0,
            "used_memory_scripts_human": "0B",
            "mem_fragmentation_ratio": f"{memory.resident / max(memory.used, 1):.2f}",
            "mem_fragmentation_bytes": memory.resident - memory.used,
            "mem_not_counted_for_evict": memory.log,
            "mem_replication_backlog": 0,
            "mem_total_replication_buffers": 0,
            "mem_cluster_links": memory.links,
            "mem_aof_buffer": memory.log,
            "mem_allocator": "pymalloc",
            "active_defrag_running": 0,
            "lazyfree_pending_objects": sum(
                [len(shard.keys.trash) for shard in self._node.engine.shards.values()]
            ),
            "lazyfreed_objects": 0,
        }

    def _persistence(self) -> Fields:
        """Snapshots under the names of RDB files, the log under those of the AOF."""
        node = self._node
        saving = node.saving
        status = "ok" if saving.was_last_whole else "err"
        shards = node.engine.shards.values()
        return {
            "current_cow_peak": 0,
            "current_cow_size": 0,
            "current_cow_size_age": 0,
            "current_fork_perc": "0.00",
            "rdb_changes_since_last_save": sum(
                [shard.applied_index - shard.core.snapshot_index for shard in shards]
            ),
            "rdb_bgsave_in_progress": int(saving.is_running or node.snapshotting.is_cutting),
            "rdb_last_save_time": saving.last_saved_s,
            "rdb_last_bgsave_status": status,
            "rdb_last_bgsave_time_sec": saving.last_took_s,
            "rdb_current_bgsave_time_sec": saving.running_s,
            "rdb_saves": saving.runs,
            "rdb_last_cow_size": 0,
            "aof_rewrite_in_progress": int(saving.is_running),
            "aof_rewrite_scheduled": 0,
            "aof_last_rewrite_time_sec": saving.last_took_s,
            "aof_current_rewrite_time_sec": saving.running_s,
            "aof_last_bgrewrite_status": status,
            "aof_rewrites": saving.runs,
            "aof_last_write_status": "ok",  # After a failed one there is no process to ask (L8).
            "aof_last_cow_size": 0,
            "module_fork_in_progress": 0,
            "module_fork_last_cow_size": 0,
            "aof_current_size": node.log.bytes_on_disk,
            "aof_pending_rewrite": 0,
            "aof_delayed_fsync": 0,
        }

    def _stats(self) -> Fields:
        clients = self._clients
        rates = self._rates.per_second()
        received, sent = self._peer_bytes()
        counts = self._counts
        counts.update()
        return {
            "instantaneous_ops_per_sec": round(rates["ops"]),
            "total_net_input_bytes": clients.input_bytes,
            "total_net_output_bytes": clients.output_bytes,
            "total_net_repl_input_bytes": received,
            "total_net_repl_output_bytes": sent,
            **{
                f"instantaneous_{name}_kbps": f"{rates[name] / 1024:.2f}"
                for name in ("input", "output", "input_repl", "output_repl")
            },
            "expired_keys": counts.expired,
            "evicted_keys": counts.evicted,
            "keyspace_hits": counts.hits,
            "keyspace_misses": counts.misses,
        }

    def _keyspace(self) -> Fields:
        """Keys of what this node leads; on every other shard somebody else says it."""
        counts: dict[int, list[int]] = {}
        now_ms = self._clock.wall_ms()
        for shard in self._node.engine.shards.values():
            if not shard.is_leader or shard.id == META_SHARD:
                continue
            for db in shard.keys.databases:
                total = counts.setdefault(db, [0, 0, 0])
                total[0] += shard.keys.count(db)
                expiring, sum_ms = shard.keys.expiring(db)
                total[1] += expiring
                total[2] += sum_ms
        return {
            f"db{db}": f"keys={keys},expires={expiring},"
            f"avg_ttl={max(sum_ms // expiring - now_ms, 0) if expiring else 0}"
            for db, (keys, expiring, sum_ms) in sorted(counts.items())
            if db < DATABASES
        }


class _Counts:
    """What keyspaces count, added up over all that this node held or led; set back by CONFIG
    RESETSTAT. A key that expires or is evicted is counted by the leader alone."""

    def __init__(self, node: Node) -> None:
        self.expired = self.evicted = self.hits = self.misses = 0
        self._node = node
        self._seen: dict[ShardId, tuple[int, int, int, int]] = {}

    def update(self) -> None:
        for shard in self._node.engine.shards.values():
            keys = shard.keys
            now = (keys.expired, keys.evicted, keys.hits, keys.misses)
            before = self._seen.get(shard.id)
            if now == before:
                continue
            if before is None or now < before:  # A snapshot has replaced the keyspace.
                before = (0, 0, 0, 0)
            self._seen[shard.id] = now
            if shard.is_leader:
                self.expired += now[0] - before[0]
                self.evicted += now[1] - before[1]
            self.hits += now[2] - before[2]
            self.misses += now[3] - before[3]

    def reset(self) -> None:
        self.update()
        self.expired = self.evicted = self.hits = self.misses = 0


def resident_bytes() -> int:
    """Resident memory of this process."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # Not Linux: the peak will do.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
