"""Client libraries at work while nodes die: one small program per library.

Each keeps a ledger of what it asked and was told, lets its library do what it does by itself, and
writes the ledger when it gets SIGTERM. `../clients.py` starts them and judges the ledgers.
"""
