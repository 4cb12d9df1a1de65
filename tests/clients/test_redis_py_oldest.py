"""The oldest redis-py passes what the newest passes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from .running import OLDEST_REDIS_PY, ROOT, run

if TYPE_CHECKING:
    from .running import Doors

TIMEOUT_S = 90.0


def test_the_oldest_redis_py_passes_what_the_newest_passes(doors: Doors) -> None:
    assert OLDEST_REDIS_PY.is_dir(), "it is missing: .ci/oracle installs it"
    wanted = Path(__file__).with_name("oldest.txt").read_text().rpartition("==")[2].strip()
    version = ("-c", "import redis; print(redis.__version__)")
    path = {"PYTHONPATH": str(OLDEST_REDIS_PY)}
    assert run(sys.executable, *version, variables=path).out.strip() == wanted != redis.__version__
    ran = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(str(Path(__file__).with_name("test_redis_py.py")), "--rootdir", str(ROOT)),
        *("-k", "not RESP3"),  # Its default; the newest one's is RESP 3.
        *("--at", ",".join(map(str, doors.bases))),
        timeout_s=TIMEOUT_S,
        variables=path,
    )
    assert ran.code == 0, str(ran)
    assert " passed" in ran.out, str(ran)
