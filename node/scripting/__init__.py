"""Lua for scripts and functions: the same result on every replica, and an end after its budget.

`runtime.py` runs a script; `source.py` rewrites one before it is compiled, so that nothing in it
can cost more than is counted; the `.lua` files are what a script sees. Pure: what a script asks of
the data goes through a function that `node/commands/scripting.py` hands in.
"""
