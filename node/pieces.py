"""What is too large for one frame: cut into pieces on its way out, joined on its way in.

A value may be as large as `bulk_bytes_max`. Written as one frame it would be copied whole several
times, and heartbeats would wait behind it (correctness E2); so its bytes leave as they are, a piece
with each frame, and everything small rides along. Only the log stream carries pieces, and it keeps
their order. Read `peer_link.py` for who cuts, `peers.py` for who joins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..proto import peer_pb2 as pb

PIECE_BYTES = 256 << 10  # Half a frame: the other half is for those who go between the pieces.
CUT_BYTES = 2 << 20  # What is larger is cut; an append is usually not (append_bytes_max).


class Whole(NamedTuple):
    """Something to be cut: what it is, and its bytes in parts, to be read one behind the other."""

    kind: pb.Whole
    parts: Sequence[bytes]


class Cutting:
    """One message, or several of its entries, on the way out."""

    def __init__(self, wholes: Sequence[Whole]) -> None:
        self._pieces = _cut(wholes)
        self._next = next(self._pieces, None)

    @property
    def is_done(self) -> bool:
        return self._next is None

    def put(self, batch: pb.Batch) -> int:
        """Put the next piece into `batch`; its size."""
        assert self._next is not None, "everything was cut"
        batch.piece, batch.whole = self._next
        self._next = next(self._pieces, None)
        return len(batch.piece)


class Joining:
    """What arrives in pieces on one stream."""

    def __init__(self) -> None:
        self.entries: deque[bytes] = deque()  # Data of entries whose append has not come yet.
        self._pieces: list[bytes] = []

    def add(self, batch: pb.Batch) -> tuple[pb.Whole, bytes]:
        """Take the piece of a batch; what it completes, or MORE and nothing."""
        self._pieces.append(batch.piece)
        if batch.whole == pb.MORE:
            return pb.MORE, b""
        data = b"".join(self._pieces)
        self._pieces = []
        if batch.whole == pb.ENTRY:
            self.entries.append(data)
        return batch.whole, data


def _cut(wholes: Sequence[Whole]) -> Iterator[tuple[bytes, pb.Whole]]:
    for kind, parts in wholes:
        left = sum(map(len, parts))
        piece: list[memoryview] = []
        room = PIECE_BYTES
        for part in parts:
            view = memoryview(part)
            while view:
                taken, view = view[:room], view[room:]
                piece.append(taken)
                room -= len(taken)
                left -= len(taken)
                if not room or not left:
                    yield b"".join(piece), pb.MORE if left else kind
                    piece, room = [], PIECE_BYTES
