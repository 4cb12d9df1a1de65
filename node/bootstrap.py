"""How founders become a cluster, once, whatever crashes in between (correctness B1, B2).

Each founder has its incarnation on disk before it answers "empty" to anybody. The first by name
collects who the others are, writes down the founding (cluster id, all founders with their
incarnations, shards), has every other founder write it down, writes down that the cluster is
formed, and tells them. It alone decides: while it has not written "formed" nobody has, and once it
has, every founder has the founding on disk and can learn the rest by asking anyone. A directory
that is formed needs nobody. Nothing here knows gRPC: `membership.py` carries the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .config import Founder as Place
from .config import join_address
from .errors import ConfigError, IdentityError, TrimaranError
from .names import Address
from .storage.identity import Founder, Founding, Identity

ASK_INTERVAL_S = 0.2
REPORT_INTERVAL_S = 5.0

_log = logging.getLogger(__name__)


class FounderAway(TrimaranError):
    """A founder could not be asked: it is not there, or not yet."""


class Directory(Protocol):
    """What is kept on disk, lastingly when a call returns; `DataDirectory` is one."""

    @property
    def identity(self) -> Identity: ...
    def agree(self, founding: Founding) -> None: ...
    def form(self, cluster_id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a founder was started with; all must have been started with the same."""

    name: str
    founders: str  # name=host:port,... sorted by name.
    shards: int

    @classmethod
    def of(cls, name: str, places: Sequence[Place], shards: int) -> Options:
        listed = sorted(places, key=lambda place: place.name)
        return cls(name, ",".join([str(place) for place in listed]), shards)

    @property
    def hash(self) -> str:
        text = f"{self.founders} {self.shards}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.name}: --founders {self.founders} --shards {self.shards}"


@dataclass(frozen=True, slots=True)
class Description:
    """What a node says of itself."""

    member: Founder
    founding: Founding | None  # What it has agreed to found.
    is_formed: bool
    options: Options | None  # None when it runs without: formed long ago.


class Calls(Protocol):
    """Reaches other founders; raises FounderAway."""

    async def describe(self, address: Address, options: Options) -> Description: ...

    async def form(self, address: Address, founding: Founding, *, is_final: bool) -> str:
        """Have it saved there; why it was refused, or nothing."""
        ...


class Bootstrap:
    """Both ends of the protocol at one node. It answers for as long as the process lives."""

    def __init__(
        self,
        directory: Directory,
        *,
        announced: Address,  # Of the gRPC port.
        zone: str,
        places: Sequence[Place],  # The founders option; empty when there is none.
        calls: Calls,
        draw: Callable[[], int],  # 64 random bits.
        ask_interval_s: float = ASK_INTERVAL_S,
        report_interval_s: float = REPORT_INTERVAL_S,
    ) -> None:
        self.waiting_for: list[str] = []
        identity = directory.identity
        self._directory = directory
        self._name = identity.node
        address = join_address(announced.host, announced.port)
        self._member = Founder(identity.node, identity.incarnation, address, zone)
        self._places = sorted(places, key=lambda place: place.name)
        self._options = Options.of(identity.node, places, identity.shards) if places else None
        self._calls = calls
        self._draw = draw
        self._ask_interval_s = ask_interval_s
        self._report_interval_s = report_interval_s
        self._fault: TrimaranError | None = None
        self._news = asyncio.Event()

    # --- What others ask.

    @property
    def is_formed(self) -> bool:
        return self._directory.identity.cluster_id is not None

    def describe(self, asker: Options | None) -> Description:
        """Who is here. Notes when the asker was started with other options than we were."""
        mine = self._options
        if asker is not None and mine is not None and not self.is_formed:
            self._compare(mine, asker)
        identity = self._directory.identity
        return Description(self._member, identity.founding, self.is_formed, mine)

    def _compare(self, mine: Options, asker: Options) -> None:
        if _same(mine, asker):
            return
        _log.error("founders differ", extra={"mine": str(mine), "theirs": str(asker)})
        if asker.name in [place.name for place in self._places]:
            # Both ends stop: whichever of the two is wrong, its operator is told.
            self._stop_with(_options_differ(mine, asker))

    def form(self, founding: Founding, *, is_final: bool) -> str:
        """The first founder's proposal, or its word that all have saved it; why not, if refused."""
        try:
            self._check_proposal(founding, is_final=is_final)
            if not self.is_formed:
                self._directory.agree(founding)
            if is_final:
                self._directory.form(founding.cluster_id)
        except IdentityError as error:
            _log.error("founding refused", extra={"error": str(error)})
            return str(error)
        if is_final:
            self._news.set()
        return ""

    def _check_proposal(self, founding: Founding, *, is_final: bool) -> None:
        identity = self._directory.identity
        if self.is_formed and identity.founding != founding:
            raise IdentityError(
                f"{self._name} belongs to {_show(identity.founding)}; {_show(founding)} is proposed"
            )
        mine = self._options
        if not self.is_formed and mine is not None and founding.options_hash != mine.hash:
            raise IdentityError(
                f"{self._name} was started with {mine}; {_show(founding)} is proposed"
            )
        if is_final and identity.founding is None:
            raise IdentityError(f"{self._name} never agreed to found {_show(founding)}")
        _check_named(founding, self._member, is_formed=False)

    # --- What we do.

    async def run(self) -> Founding:
        """Form the cluster, or find that it is formed. Raises ConfigError or IdentityError when
        that cannot be, saying what to do."""
        founding = self._directory.identity.founding
        if not self.is_formed:
            self._check_options()
            await self._form_or_learn()
            founding = self._directory.identity.founding
        assert founding is not None, "formed without a founding"
        self.waiting_for = []
        return founding

    def _check_options(self) -> None:
        if self._options is None:
            raise ConfigError(
                "founders: missing (--founders n1=host:port,...): the data directory is empty, so "
                "this node must be told with whom to form a cluster"
            )
        if self._name not in [place.name for place in self._places]:
            raise ConfigError(f"founders: {self._name} itself is not in {self._options.founders}")

    async def _form_or_learn(self) -> None:
        now = asyncio.get_running_loop().time
        report_at = now() + self._report_interval_s
        while not self.is_formed:
            found = await self._ask_all()
            if self._fault is not None:
                raise self._fault
            if self._is_told() or self._learn(found):
                return
            is_first = self._name == self._places[0].name
            if is_first and not self.waiting_for and await self._found(found):
                return
            if now() >= report_at:
                report_at = now() + self._report_interval_s
                # With everyone there it is the first founder that has the next word.
                names = ",".join(self.waiting_for) or self._places[0].name
                _log.warning("waiting for founders", extra={"missing": names})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ask_interval_s):
                    await self._news.wait()
            self._news.clear()

    def _is_told(self) -> bool:
        """Whether the first founder has said meanwhile that the cluster is formed."""
        return self.is_formed

    async def _ask_all(self) -> list[Description]:
        """What the other founders say of themselves; notes who does not answer."""
        others = [place for place in self._places if place.name != self._name]
        answers = await asyncio.gather(*[self._ask(place) for place in others])
        self.waiting_for = [
            place.name for place, answer in zip(others, answers, strict=True) if answer is None
        ]
        return [answer for answer in answers if answer is not None]

    async def _ask(self, place: Place) -> Description | None:
        assert self._options is not None, "nobody is asked without a founders option"
        address = Address(place.host, place.grpc_port)
        try:
            answer = await self._calls.describe(address, self._options)
        except FounderAway as error:
            _log.debug("founder away", extra={"founder": place.name, "error": str(error)})
            return None
        if answer.member.name != place.name:
            raise ConfigError(
                f"founders: {address} is {answer.member.name}, not {place.name}, says that node"
            )
        theirs = answer.options
        if theirs is not None and not answer.is_formed and not _same(self._options, theirs):
            raise _options_differ(self._options, theirs)
        return answer

    def _learn(self, found: Sequence[Description]) -> bool:
        """Whether one of them belongs to a cluster, and so do we; raises if it is not ours (B2)."""
        for other in found:
            if other.is_formed and other.founding is not None:
                _check_named(other.founding, self._member, is_formed=True)
                agreed = self._directory.identity.founding
                if agreed != other.founding:
                    raise IdentityError(
                        f"{other.member.name} belongs to {_show(other.founding)}, "
                        f"{self._name} agreed to {_show(agreed)}. {_WHAT_TO_DO}"
                    )
                self._directory.form(other.founding.cluster_id)
                return True
        return False

    async def _found(self, found: Sequence[Description]) -> bool:
        """As the first founder, with everyone there: decide, have all save it, form."""
        assert self._options is not None, "checked at the start"
        members = sorted(
            [self._member, *(other.member for other in found)], key=lambda one: one.name
        )
        founding = self._directory.identity.founding
        if founding is None:
            founding = Founding(
                self._draw(), tuple(members), self._directory.identity.shards, self._options.hash
            )
            self._directory.agree(founding)
        for member in members:
            # Someone lost its directory since; nobody has formed, but we cannot tell it from here.
            _check_named(founding, member, is_formed=False)
        if not await self._propose(founding, is_final=False):
            return False
        # From here on the cluster exists: every founder has the founding on disk.
        self._directory.form(founding.cluster_id)
        _log.info("cluster formed", extra={"cluster": f"{founding.cluster_id:016x}"})
        await self._propose(founding, is_final=True)  # Who misses it learns it by asking.
        return True

    async def _propose(self, founding: Founding, *, is_final: bool) -> bool:
        """Whether every other founder has saved it; raises IdentityError when one refuses."""

        async def one(place: Place) -> bool:
            address = Address(place.host, place.grpc_port)
            try:
                refusal = await self._calls.form(address, founding, is_final=is_final)
            except FounderAway:
                return False
            if refusal:
                raise IdentityError(f"{place.name} refuses the founding: {refusal}")
            return True

        others = [place for place in self._places if place.name != self._name]
        return all(await asyncio.gather(*[one(place) for place in others]))

    def _stop_with(self, fault: TrimaranError) -> None:
        self._fault = fault
        self._news.set()


_WHAT_TO_DO = (
    "If this directory was emptied or replaced, put the old one back, everything as it was; a node "
    "without its memory may not vote under its old identity, and admitting a new one in its place "
    "is not possible yet. To found another cluster, give this node other founders"
)


def _same(one: Options, other: Options) -> bool:
    return (one.founders, one.shards) == (other.founders, other.shards)


def _options_differ(mine: Options, theirs: Options) -> ConfigError:
    return ConfigError(f"founders were started with different options\n  {mine}\n  {theirs}")


def _check_named(founding: Founding, member: Founder, *, is_formed: bool) -> None:
    """Raises IdentityError unless `founding` names this very incarnation of `member`."""
    named = next((one for one in founding.founders if one.name == member.name), None)
    if named is None:
        raise IdentityError(f"{member.name} is not one of {_show(founding)}")
    if named.incarnation == member.incarnation:
        return
    known = f"{member.name} as incarnation {named.incarnation:016x}"
    if is_formed:
        raise IdentityError(
            f"{_show(founding)} knows {known}, but this directory is that of incarnation "
            f"{member.incarnation:016x}. {_WHAT_TO_DO}"
        )
    raise IdentityError(
        f"{_show(founding)} was agreed on with {known}, which has come back as incarnation "
        f"{member.incarnation:016x}: its directory was emptied while the cluster was being formed. "
        "Nothing was stored yet: empty the directories of all founders and start them again"
    )


def _show(founding: Founding | None) -> str:
    if founding is None:
        return "no cluster"
    names = ",".join([f"{one.name}={one.address}" for one in founding.founders])
    return f"cluster {founding.cluster_id:016x} ({names}, {founding.shards} shards)"
