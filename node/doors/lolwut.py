"""LOLWUT: a piece of computer art, and the version."""

from __future__ import annotations

from math import sin
from random import Random
from typing import TYPE_CHECKING

from ...proto.reply import Reply, VerbatimReply
from .info import REDIS_VERSION, VERSION
from .monitoring_commands import read_integer

if TYPE_CHECKING:
    from ..request import Args
    from .client import Client

COLUMNS, ROWS = 66, 16

# Three hulls under one sail: the middle one carries the mast.
_BOAT = (
    "          |\\",
    "          | \\",
    "         /|  \\",
    "        / |   \\",
    "       /  |    \\",
    "      /___|_____\\",
    "  \\===\\===|===/===/",
)


def lolwut(client: Client, args: Args) -> Reply:
    """LOLWUT [VERSION version]: the version may be any number; there is one picture."""
    if len(args) >= 3 and args[1].upper() == b"VERSION":
        for word in args[2:]:
            read_integer(word)
    picture = draw(Random(client.door.router.wall_us()))
    line = f"Redis ver. {REDIS_VERSION} (trimaran {VERSION})"
    return VerbatimReply("txt", f"{picture}\n{line}\n".encode())


def draw(rng: Random) -> str:
    """A trimaran at sea: no two waves alike."""
    stars = [
        "".join("." if rng.random() < 0.02 else " " for _ in range(COLUMNS)) for _ in range(ROWS)
    ]
    at = int(rng.random() * (COLUMNS - 22))
    lines = [
        _over(sky, " " * at + _BOAT[row - 2]) if 0 <= row - 2 < len(_BOAT) else sky
        for row, sky in enumerate(stars[: len(_BOAT) + 2])
    ]
    phase, width = rng.random() * 6.28, 4 + rng.random() * 6
    for depth in range(ROWS - len(lines)):
        crest = [sin(column / width + phase + depth * 1.7) for column in range(COLUMNS)]
        lines.append("".join("~" if one > 0.3 else "-" if one > -0.5 else " " for one in crest))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _over(sky: str, drawn: str) -> str:
    """`drawn` in front of `sky`."""
    padded = drawn.ljust(len(sky))
    return "".join(
        front if front != " " else back for front, back in zip(padded, sky, strict=False)
    )
