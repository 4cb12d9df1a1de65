"""A command at a terminal of its own, and somebody who types."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .command import START_S

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """Use it as a context: at its end what still runs there is killed."""

    def __init__(self, words: Sequence[str], home: Path) -> None:
        self._fd, theirs = pty.openpty()
        # Nobody is here to answer where the cursor is.
        sets = {"HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        command = f"stty cols 120 rows 40; exec {shlex.join(words)}"
        self._process = subprocess.Popen(
            [
                "setsid",
                "--ctty",
                "env",
                *[f"{k}={v}" for k, v in sets.items()],
                "sh",
                "-c",
                command,
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.set_blocking(self._fd, False)
        self.said = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str, since: int = 0) -> int:
        """Waits for it to be printed; where it ends."""
        deadline = time.monotonic() + START_S
        while (place := self.said.find(text.encode(), since)) < 0:
            assert time.monotonic() < deadline, self.said
            assert self._read() or text.encode() in self.said[since:], self.said
        return place + len(text)

    def _read(self) -> bool:
        """What is there; whether there may be more."""
        try:
            self.said += os.read(self._fd, 65536)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # Nobody has the terminal any more.
            return False
        return True

    def exit_code(self) -> int:
        """Waits for the end."""
        while self._read():
            pass
        return self._process.wait(START_S)
