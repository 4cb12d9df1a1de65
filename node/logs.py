"""One line per event: time, level, a constant name, then fields. `shard=3 term=7`."""

from __future__ import annotations

import logging

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class FieldFormatter(logging.Formatter):
    """Appends what was given as `extra` as key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self.default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name.
        line = super().formatMessage(record)
        fields = [f"{key}={value}" for key, value in record.__dict__.items() if key not in _PLAIN]
        return " ".join([line, *fields])


def set_up_logging(level: str) -> None:
    """Everything to standard error; whoever starts the process decides where that goes."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
