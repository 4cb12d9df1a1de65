"""Raft, pure: inputs in, one `Ready` out. No clock, disk, socket, task or logger in here.

Read `types.py` (the values), `log.py`, `core.py` (one replica), `leader.py` (what only a leader
knows), then `invariants.py` (what must hold over all replicas, whatever the network does).
"""
