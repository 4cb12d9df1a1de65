"""What a node keeps on disk: the log of all its shards, their snapshots, its identity.

`wal.py` is the log; `records.py` its bytes, `segments.py` its files, `replay.py` its start.
`disk.py` and `sim_disk.py` are the files below all of it.
"""
