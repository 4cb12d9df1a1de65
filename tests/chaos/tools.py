"""The programs of Debian that only the benchmark and the chaos runs need.

Nothing of the product needs them; they are installed when missing, and a machine where that is
not allowed gets the command to type.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

PACKAGE_OF = {
    "redis-benchmark": "redis-tools",
    "h2load": "nghttp2-client",
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
}


class ToolMissing(Exception):
    """A program that has to be there is not, and could not be installed."""


def ensure(programs: Sequence[str]) -> None:
    """Installs the packages of the programs that are missing."""
    packages = sorted({PACKAGE_OF[name] for name in programs if shutil.which(name) is None})
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolMissing(f"missing programs; install them first: sudo {' '.join(command)}")
    print(f"installing {' '.join(packages)} ...", flush=True)
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    # The lists of a fresh container are empty, and those of an old one name packages long gone.
    subprocess.run([*quiet, "apt-get", "update", "-qq"], check=False)
    done = subprocess.run([*quiet, *command], check=False, capture_output=True, text=True)
    still_missing = [name for name in programs if shutil.which(name) is None]
    if still_missing:
        raise ToolMissing(
            f"`{' '.join(command)}` ended with {done.returncode} and {', '.join(still_missing)} "
            f"are still missing:\n{done.stderr[-2000:]}"
        )
