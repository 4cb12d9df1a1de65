"""Who leads which shard, as far as this node has heard: the highest term known of each (D5).

Nodes tell one another what they learn, so that all say the same, those included that hold no
replica of a shard. A leader that is gone stands here until another one is known. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cluster.slots import ShardId
    from .raft.types import NodeId


@dataclass(frozen=True, slots=True)
class Led:
    """`node` leads `shard` in `term`: a fact that stays true, and is overtaken by higher terms."""

    shard: ShardId
    term: int
    node: NodeId


class Leaders:
    def __init__(self) -> None:
        self._known: dict[ShardId, Led] = {}

    def __iter__(self) -> Iterator[Led]:
        return iter(self._known.values())

    def learn(self, one: Led) -> bool:
        """Whether that was news."""
        known = self._known.get(one.shard)
        if known is not None and known.term >= one.term:
            return False
        self._known[one.shard] = one
        return True

    def learn_all(self, told: Iterable[Led]) -> Sequence[Led]:
        """Those that were news."""
        return [one for one in told if self.learn(one)]

    def of(self, shard: ShardId) -> Led | None:
        return self._known.get(shard)
