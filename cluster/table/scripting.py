"""Rows of the command table: scripts and functions."""

from __future__ import annotations

from ..command import (
    ALLOW_BUSY,
    EACH,
    EVERYWHERE,
    GROWS,
    LOADING,
    LOCAL,
    LOGGED,
    NO_KEYS,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    ONE_SHARD,
    ORDER,
    OTHER,
    READ,
    SCRIPTING,
    SKIP_MONITOR,
    SPECIAL,
    STALE,
    WRITE,
    Command,
    Counted,
)
from ..doc import Doc

_RUNS = NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS
_WRITES, _READS = _RUNS | LOGGED, _RUNS | READ
_KEYS = Counted(2)
_ANY, _ANY_READ = "RW access update", "RO access"
_NODES = ("request_policy:all_nodes", "response_policy:all_succeeded")
_KNOWN = ("request_policy:all_shards", "response_policy:agg_logical_and")
_ONE_OF = ("request_policy:all_shards", "response_policy:one_succeeded")

# fmt: off
ROWS: tuple[Command, ...] = (
    #       name             arity  flags             keys     category   spread      tips
    Command(b"EVAL",            -3, _WRITES,          NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY, finder=_KEYS),
    Command(b"EVALSHA",         -3, _WRITES,          NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY, finder=_KEYS),
    Command(b"EVALSHA_RO",      -3, _READS,           NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY_READ, finder=_KEYS),
    Command(b"EVAL_RO",         -3, _READS,           NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY_READ, finder=_KEYS),
    Command(b"FCALL",           -3, _WRITES,          NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY, finder=_KEYS),
    Command(b"FCALL_RO",        -3, _READS,           NO_KEYS, SCRIPTING, ONE_SHARD,
            key_flags=_ANY_READ, finder=_KEYS),
    Command(b"FUNCTION",        -2, 0,                NO_KEYS, OTHER,     LOCAL, (), (
        Command(b"FUNCTION|DELETE", 3, WRITE | NOSCRIPT, NO_KEYS, SCRIPTING, EVERYWHERE, EACH),
        Command(b"FUNCTION|DUMP", 2, NOSCRIPT,        NO_KEYS, SCRIPTING, ONE_SHARD),
        Command(b"FUNCTION|FLUSH", -2, WRITE | NOSCRIPT, NO_KEYS, SCRIPTING, EVERYWHERE, EACH),
        Command(b"FUNCTION|HELP", 2, LOADING | STALE, NO_KEYS, SCRIPTING, LOCAL),
        Command(b"FUNCTION|KILL", 2, NOSCRIPT | ALLOW_BUSY, NO_KEYS, SCRIPTING, LOCAL, _ONE_OF),
        Command(b"FUNCTION|LIST", -2, NOSCRIPT,       NO_KEYS, SCRIPTING, ONE_SHARD, ORDER),
        Command(b"FUNCTION|LOAD", -3, WRITE | GROWS | NOSCRIPT, NO_KEYS, SCRIPTING, EVERYWHERE,
                EACH),
        Command(b"FUNCTION|RESTORE", -3, WRITE | GROWS | NOSCRIPT, NO_KEYS, SCRIPTING, EVERYWHERE,
                EACH),
        Command(b"FUNCTION|STATS", 2, NOSCRIPT | ALLOW_BUSY, NO_KEYS, SCRIPTING, ONE_SHARD,
                ("nondeterministic_output", *SPECIAL)),
    )),
    Command(b"SCRIPT",          -2, 0,                NO_KEYS, OTHER,     LOCAL, (), (
        Command(b"SCRIPT|DEBUG",  3, NOSCRIPT,        NO_KEYS, SCRIPTING, LOCAL),
        Command(b"SCRIPT|EXISTS", -3, NOSCRIPT,       NO_KEYS, SCRIPTING, EVERYWHERE, _KNOWN),
        Command(b"SCRIPT|FLUSH", -2, NOSCRIPT | LOGGED, NO_KEYS, SCRIPTING, EVERYWHERE, _NODES),
        Command(b"SCRIPT|HELP",   2, LOADING | STALE, NO_KEYS, SCRIPTING, LOCAL),
        Command(b"SCRIPT|KILL",   2, NOSCRIPT | ALLOW_BUSY, NO_KEYS, SCRIPTING, LOCAL, _ONE_OF),
        Command(b"SCRIPT|LOAD",   3, NOSCRIPT | STALE | LOGGED, NO_KEYS, SCRIPTING, EVERYWHERE,
                _NODES),
    )),
)
# fmt: on

_GROUP = "scripting"
_SCRIPT = "Depends on the script."
_DIRECTLY = "O(1)"
_N_FUNCTIONS = "O(N) where N is the number of functions"

DOCS: dict[bytes, Doc] = {
    b"EVAL": Doc(_GROUP, "2.6.0", _SCRIPT, "Runs a Lua script."),
    b"EVALSHA": Doc(_GROUP, "2.6.0", _SCRIPT, "Runs a Lua script by its SHA1."),
    b"EVALSHA_RO": Doc(_GROUP, "7.0.0", _SCRIPT, "Runs a Lua script that only reads, by its SHA1."),
    b"EVAL_RO": Doc(_GROUP, "7.0.0", _SCRIPT, "Runs a Lua script that only reads."),
    b"FCALL": Doc(_GROUP, "7.0.0", "Depends on the function.", "Runs a function."),
    b"FCALL_RO": Doc(
        _GROUP, "7.0.0", "Depends on the function.", "Runs a function that only reads."
    ),
    b"FUNCTION": Doc(_GROUP, "7.0.0", "Depends on subcommand.", "Commands about functions."),
    b"FUNCTION|DELETE": Doc(_GROUP, "7.0.0", _DIRECTLY, "Removes a library with its functions."),
    b"FUNCTION|DUMP": Doc(
        _GROUP, "7.0.0", _N_FUNCTIONS, "Answers all libraries, as FUNCTION RESTORE takes them."
    ),
    b"FUNCTION|FLUSH": Doc(_GROUP, "7.0.0", _N_FUNCTIONS, "Removes all libraries."),
    b"FUNCTION|HELP": Doc(_GROUP, "7.0.0", _DIRECTLY, "Answers what FUNCTION understands."),
    b"FUNCTION|KILL": Doc(
        _GROUP, "7.0.0", _DIRECTLY, "Answers NOTBUSY: a function ends by itself, at its budget."
    ),
    b"FUNCTION|LIST": Doc(_GROUP, "7.0.0", _N_FUNCTIONS, "Answers which functions there are."),
    b"FUNCTION|LOAD": Doc(_GROUP, "7.0.0", _DIRECTLY, "Keeps a library of functions."),
    b"FUNCTION|RESTORE": Doc(
        _GROUP, "7.0.0", _N_FUNCTIONS, "Takes the libraries that FUNCTION DUMP gave."
    ),
    b"FUNCTION|STATS": Doc(_GROUP, "7.0.0", _N_FUNCTIONS, "Answers how many functions there are."),
    b"SCRIPT": Doc(_GROUP, "2.6.0", "Depends on subcommand.", "Commands about Lua scripts."),
    b"SCRIPT|DEBUG": Doc(_GROUP, "3.2.0", _DIRECTLY, "Refused: scripts are not debugged here."),
    b"SCRIPT|EXISTS": Doc(
        _GROUP, "2.6.0", "O(N) where N is the number of scripts", "Answers which scripts are known."
    ),
    b"SCRIPT|FLUSH": Doc(
        _GROUP, "2.6.0", "O(N) where N is the number of scripts", "Forgets all scripts."
    ),
    b"SCRIPT|HELP": Doc(_GROUP, "5.0.0", _DIRECTLY, "Answers what SCRIPT understands."),
    b"SCRIPT|KILL": Doc(
        _GROUP, "2.6.0", _DIRECTLY, "Answers NOTBUSY: a script ends by itself, at its budget."
    ),
    b"SCRIPT|LOAD": Doc(
        _GROUP, "2.6.0", "O(N) where N is the length of the script", "Keeps a script for EVALSHA."
    ),
}

ARGUMENTS: dict[bytes, str] = {
    b"EVAL": "script numkeys:integer [key...] [arg...]",
    b"EVALSHA": "sha1 numkeys:integer [key...] [arg...]",
    b"EVALSHA_RO": "sha1 numkeys:integer [key...] [arg...]",
    b"EVAL_RO": "script numkeys:integer [key...] [arg...]",
    b"FCALL": "function numkeys:integer [key...] [arg...]",
    b"FCALL_RO": "function numkeys:integer [key...] [arg...]",
    b"FUNCTION|DELETE": "library-name",
    b"FUNCTION|FLUSH": "[async(ASYNC|SYNC)]",
    b"FUNCTION|LIST": "[LIBRARYNAME library-name-pattern] [WITHCODE]",
    b"FUNCTION|LOAD": "[REPLACE] function-code",
    b"FUNCTION|RESTORE": "serialized-value [policy(FLUSH|APPEND|REPLACE)]",
    b"SCRIPT|DEBUG": "mode(YES|SYNC|NO)",
    b"SCRIPT|EXISTS": "sha1...",
    b"SCRIPT|FLUSH": "[async(ASYNC|SYNC)]",
    b"SCRIPT|LOAD": "script",
}
