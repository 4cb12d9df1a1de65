"""The deterministic simulator, level one: the real Raft core, shards, log and snapshots of several
nodes over a simulated network, disk and clock, all from one seed. `python -m tests.sim --help`.

Read `schedule.py` and `network.py` first, then `process.py`, `cluster.py` and `scenarios.py`; what
clients do stands in `workload.py`, `optimist.py` and `churn.py`.
"""
