"""OpenTelemetry: a span and a duration for each command, counts of the router.

Nothing if its library is not installed. Where they go is the application's business; names are
those of its conventions for database clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any  # Any: the library need not be there.

try:
    from opentelemetry import metrics, trace
except ImportError:
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

if TYPE_CHECKING:
    from .router import RouterStats

_SYSTEM = "redis"  # What dashboards know commands of this kind by.
_LOOK_S = 0.1  # So often it is asked whether somebody listens by now.
_COUNTS = ("batches", "retries", "unknown", "not_applied", "sessions_opened", "sessions_lost")


class Telemetry:
    """Of one client. `stats` gives its counts as they are now."""

    def __init__(self, stats: Callable[[], RouterStats]) -> None:
        self._is_heard = False
        self._look_at = 0.0
        self._tracer = trace.get_tracer("trimaran")
        meter = metrics.get_meter("trimaran")
        self._duration = meter.create_histogram(
            "db.client.operation.duration", unit="s", description="Duration of commands."
        )
        for name in _COUNTS:
            meter.create_observable_counter(
                f"trimaran.client.{name}", callbacks=[_observing(stats, name)]
            )

    @property
    def is_heard(self) -> bool:
        """Whether the application has said where spans or metrics go. As long as it has not they go
        nowhere, and to make them costs as much as the command."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            providers = (trace.get_tracer_provider(), metrics.get_meter_provider())
            self._is_heard = any("Proxy" not in type(one).__name__ for one in providers)
        return self._is_heard

    @contextmanager
    def operation(self, name: str, db: int, size: int = 0) -> Iterator[None]:
        """Around a command, or `size` of them together."""
        attributes: dict[str, Any] = {
            "db.system.name": _SYSTEM,
            "db.namespace": str(db),
            "db.operation.name": name,
        }
        if size:
            attributes["db.operation.batch.size"] = size
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            name, kind=trace.SpanKind.CLIENT, attributes=attributes
        ) as span:
            try:
                yield
            except BaseException as error:
                attributes["error.type"] = type(error).__name__
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                self._duration.record(time.perf_counter() - began, attributes)


def _observing(
    stats: Callable[[], RouterStats], name: str
) -> Callable[[Any], Iterable[metrics.Observation]]:
    return lambda _: [metrics.Observation(asdict(stats())[name])]


def telemetry_of(stats: Callable[[], RouterStats]) -> Telemetry | None:
    """None if there is nothing to tell."""
    return Telemetry(stats) if _IS_INSTALLED else None
