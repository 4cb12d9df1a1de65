"""The files below the log and the snapshots: what a disk must do, and the real one.

Storage code meets the operating system only through `Disk`, so that the simulator can put a disk
under it that forgets what was not synced (`sim_disk.py`, correctness S1). Every call may block:
at run time they are made in a thread, never on the loop.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Protocol

_FILL_BYTES = 256 << 10
_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync.


class File(Protocol):
    """An open file. Not moved by reading or writing: every access names its offset."""

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the file."""
        ...

    def pwrite(self, data: bytes, offset: int) -> None:
        """All of `data`, or an OSError."""
        ...

    def preallocate(self, size: int) -> None:
        """Grows the file to `size` bytes of written zeros, synced."""
        ...

    def fdatasync(self) -> None: ...

    def fsync(self) -> None: ...

    def size(self) -> int: ...

    def close(self) -> None: ...


class Lock(Protocol):
    def release(self) -> None: ...


class Disk(Protocol):
    def create(self, path: str) -> File:
        """A new, empty file; FileExistsError if there is one. Lasting after `fsync_dir`."""
        ...

    def open(self, path: str, *, is_writable: bool = False) -> File: ...

    def rename(self, source: str, target: str) -> None:
        """Replaces `target` if it exists. Lasting after `fsync_dir` of both directories."""
        ...

    def unlink(self, path: str) -> None: ...

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        ...

    def exists(self, path: str) -> bool: ...

    def makedirs(self, path: str) -> None:
        """Makes the directory and its parents, lastingly."""
        ...

    def fsync_dir(self, path: str) -> None: ...

    def lock(self, path: str) -> Lock:
        """An exclusive lock held until released or the process ends; raises AlreadyLocked."""
        ...


class AlreadyLocked(Exception):
    """Another process holds the lock; `pid` is its process id, if it could be read."""

    def __init__(self, path: str, pid: int | None) -> None:
        super().__init__(f"{path} is locked by {'another process' if pid is None else pid}")
        self.pid = pid


class RealFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pread(self, size: int, offset: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]  # One read gives at most 2 GiB.
        while data and sum(map(len, parts)) < size:
            done = sum(map(len, parts))
            data = os.pread(self._descriptor, size - done, offset + done)
            parts.append(data)
        return b"".join(parts)

    def pwrite(self, data: bytes, offset: int) -> None:
        done = os.pwrite(self._descriptor, data, offset)
        while done < len(data):
            done += os.pwrite(self._descriptor, memoryview(data)[done:], offset + done)

    def preallocate(self, size: int) -> None:
        # fallocate alone leaves extents that are marked unwritten, and every sync of a first write
        # into them commits the journal: 163-191 us against 91-105 us into written zeros. It comes
        # first all the same: it finds a full disk at once and keeps the file in one piece. The
        # zeros are synced in slices so that the log's own syncs do not wait behind all of them.
        start = self.size()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, start, size - start)
        zeros = bytes(_FILL_BYTES)
        for offset in range(start, size, _FILL_BYTES):
            self.pwrite(zeros[: size - offset], offset)
            _fdatasync(self._descriptor)

    def fdatasync(self) -> None:
        _fdatasync(self._descriptor)

    def fsync(self) -> None:
        os.fsync(self._descriptor)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealLock:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)  # The lock goes with the descriptor.
            self._descriptor = -1


class RealDisk:
    """The machine's own file system. Files are readable by their owner only."""

    def create(self, path: str) -> File:
        return RealFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def open(self, path: str, *, is_writable: bool = False) -> File:
        return RealFile(os.open(path, os.O_RDWR if is_writable else os.O_RDONLY))

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def makedirs(self, path: str) -> None:
        path = os.path.abspath(path)
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.makedirs(parent)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        self.fsync_dir(parent)

    def fsync_dir(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> Lock:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).strip()
            os.close(descriptor)
            raise AlreadyLocked(path, int(holder) if holder.isdigit() else None) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return RealLock(descriptor)
