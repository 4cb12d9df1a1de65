"""What may be typed next: names of commands and the rest of their arguments. Pure.

All of it comes from the command table, whose lines of arguments COMMAND DOCS is made of too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..cluster.arguments import BLOCK, ONEOF, TOKEN
from ..cluster.command_docs import DOCS, arguments_of
from ..cluster.commands import COMMANDS, find_command
from .words_of_line import words_of

if TYPE_CHECKING:
    from ..cluster.arguments import Argument
    from ..cluster.command import Command


@dataclass(frozen=True, slots=True)
class Candidate:
    word: str
    about: str = ""


# --- The syntax of a command, as Redis's pages write it.


def syntax(arguments: Sequence[Argument]) -> str:
    """key value [NX | XX] [EX seconds | PX milliseconds]"""
    return " ".join(map(_syntax, arguments))


def _syntax(argument: Argument) -> str:
    value = _value(argument)
    token = "" if argument.token is None or argument.type == TOKEN else f"{argument.token} "
    if argument.is_multiple:
        if argument.is_optional and not token:
            return f"[{value} ...]"
        again = token if argument.is_token_repeated else ""
        text = f"{token}{value} [{again}{value} ...]"
    else:
        text = token + value
    if not argument.is_optional:
        return text
    if argument.type == ONEOF and not (token or argument.is_multiple):
        return f"[{text[1:-1]}]"  # Brackets enough.
    return f"[{text}]"


def _value(argument: Argument) -> str:
    match argument.type:
        case "pure-token":
            return argument.token or argument.name
        case "oneof":
            return f"<{' | '.join(map(_syntax, argument.parts))}>"
        case "block":
            return syntax(argument.parts)
        case _:
            return argument.name


# --- What is typed already, taken away.


def command_of(words: Sequence[bytes]) -> tuple[Command, int] | None:
    """The row that these words begin with, and how many of them name it."""
    row = find_command(words[0]) if words else None
    if row is None:
        return None
    if row.subcommands and len(words) > 1:
        found = row.by_word.get(words[1].upper())
        return None if found is None else (found, 2)
    return row, 1


def remaining(arguments: Sequence[Argument], words: Sequence[str]) -> list[Argument]:
    """What may follow `words`; those that make no sense are passed over."""
    left = list(arguments)
    place = 0
    while place < len(words):
        taken = _take_one(left, words[place:])
        if not taken:
            break
        place += taken
    return left


def _take_one(left: list[Argument], words: Sequence[str]) -> int:
    """The number of words that one of the arguments takes, which is cut down to what it lacks."""
    for place, argument in enumerate(left):
        found = _taken(argument, words)
        if found is not None:
            used, lacking = found
            again = [_again(argument)] if argument.is_multiple else []
            if _is_free(argument):
                # Those before it may still come; but first what it lacks.
                left[:] = [*lacking, *left[:place], *again, *left[place + 1 :]]
            else:
                left[:] = [*lacking, *again, *left[place + 1 :]]
            return used
        if not argument.is_optional:
            return 0
    return 0


def _again(argument: Argument) -> Argument:
    """One that may come again, when it has come."""
    argument = replace(argument, is_optional=True)
    if argument.type == TOKEN or argument.is_token_repeated:
        return argument
    return replace(argument, token=None)


def _is_free(argument: Argument) -> bool:
    """Whether it begins with a word of its own and may be left out: such come in any order."""
    return argument.is_optional and any(_first_words(argument))


def _taken(argument: Argument, words: Sequence[str]) -> tuple[int, list[Argument]] | None:
    """How many of the words it takes and what it lacks when they end; None if it cannot begin with
    the first."""
    if argument.type == TOKEN:
        return (1, []) if words[0].upper() == argument.token else None
    if argument.token is not None:
        if words[0].upper() != argument.token:
            return None
        value = replace(argument, token=None, is_optional=False, is_multiple=False)
        if len(words) == 1:
            return 1, [value]
        found = _taken(value, words[1:])
        return None if found is None else (found[0] + 1, found[1])
    if argument.type == ONEOF:
        # Words of their own come first: any other would be taken for a value.
        parts = sorted(argument.parts, key=lambda part: part.token is None)
        return next((it for it in (_taken(part, words) for part in parts) if it is not None), None)
    if argument.type == BLOCK:
        return _taken_by_all(argument.parts, words)
    return 1, []


def _taken_by_all(
    parts: Sequence[Argument], words: Sequence[str]
) -> tuple[int, list[Argument]] | None:
    used = 0
    for place, part in enumerate(parts):
        if used == len(words):
            return used, list(parts[place:])
        found = _taken(part, words[used:])
        if found is None:
            if part.is_optional:
                continue
            return None
        used += found[0]
        if found[1]:
            return used, [*found[1], *parts[place + 1 :]]
    return (used, []) if used else None


# --- For the prompt.


def hint(line: str) -> str:
    """What the rest of this line may be; empty if it names no command, or is complete."""
    words = _words(line)
    found = command_of(words)
    if found is None or not line.endswith(" "):
        return _subcommand_hint(words) if line.endswith(" ") else ""
    row, named = found
    if row.subcommands:
        return "subcommand ..."
    return syntax(remaining(arguments_of(row), _texts(words[named:])))


def _subcommand_hint(words: Sequence[bytes]) -> str:
    row = find_command(words[0]) if len(words) == 1 else None
    return "subcommand ..." if row is not None and row.subcommands else ""


def candidates(line: str) -> tuple[str, list[Candidate]]:
    """The word that the line ends with, and what it may become."""
    head, _, last = line.rpartition(" ")
    words = _words(head)
    if head and not words:
        return "", []
    found = [one for one in _follow(words) if one.word.startswith(last.upper())]
    if last.islower():
        found = [Candidate(one.word.lower(), one.about) for one in found]
    return last, found


def _follow(words: Sequence[bytes]) -> Iterator[Candidate]:
    if not words:
        yield from (Candidate(_name(row), DOCS[row.name].summary) for row in _sorted(COMMANDS))
        return
    container = find_command(words[0])
    if container is not None and container.subcommands and len(words) == 1:
        for row in _sorted(container.by_word):
            yield Candidate(_name(row).partition(" ")[2], DOCS[row.name].summary)
    found = command_of(words)
    if found is not None:
        row, named = found
        for argument in remaining(arguments_of(row), _texts(words[named:])):
            yield from map(Candidate, _first_words(argument))
            if not argument.is_optional:
                break


def _first_words(argument: Argument) -> Iterator[str]:
    """What stands as it is at the beginning of an argument."""
    if argument.token is not None:
        yield argument.token
    elif argument.type == ONEOF:
        for part in argument.parts:
            yield from _first_words(part)
    elif argument.type == BLOCK:
        for part in argument.parts:
            yield from _first_words(part)
            if not part.is_optional:
                return


def help_of(words: Sequence[bytes]) -> str | None:
    """What `help NAME` says; None if there is no such command."""
    found = command_of(words)
    if found is None or found[1] != len(words):
        return None
    row, _ = found
    doc = DOCS[row.name]
    lines = [f"{_name(row)} {syntax(arguments_of(row))}".rstrip(), f"summary: {doc.summary}"]
    lines += [f"since: {doc.since}", f"group: {doc.group}"]
    if row.subcommands:
        names = (_name(one).partition(" ")[2] for one in row.subcommands)
        lines.append(f"subcommands: {' '.join(sorted(names))}")
    return "".join(f"  {line}\n" for line in lines)


def _sorted(rows: dict[bytes, Command]) -> list[Command]:
    return [rows[name] for name in sorted(rows)]


def _name(row: Command) -> str:
    return row.name.decode().replace("|", " ")


def _words(line: str) -> list[bytes]:
    try:
        return words_of(line.encode("utf-8", "surrogateescape"))
    except ValueError:
        return []


def _texts(words: Sequence[bytes]) -> list[str]:
    return [word.decode("utf-8", "replace") for word in words]
