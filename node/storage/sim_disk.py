"""A disk in memory that forgets what was not synced, for the simulator and for tests.

The model (correctness S1). Content: of the 4 KiB pages written since the file's last sync, a power
cut keeps any subset, and of the others any subset of their 512-byte sectors; the size falls between
the synced one and the last. A page written twice between two syncs is lost or kept with its last
content. A sync that fails leaves its pages looking clean in memory, some of them never to be
written, as Linux does. Directories: a power cut keeps a prefix of what was done in each one since
its last `fsync_dir`, as file systems with a journal do; a move between two directories never loses
both names. `makedirs` lasts at once, as the real one does.

Everything comes from one `Random`, in the order of the calls: same seed, same disk.
"""

from __future__ import annotations

import errno
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .disk import AlreadyLocked, File, Lock

if TYPE_CHECKING:
    from random import Random

PAGE = 4096
SECTOR = 512


class PowerCut(Exception):
    """The power went while this call was under way; nothing works until `SimDisk.power_cut`."""


@dataclass(slots=True, eq=False)
class _Inode:
    content: bytearray = field(default_factory=bytearray)
    synced_size: int = 0
    # What the platter holds under pages written since the last sync.
    unsynced: dict[int, bytes] = field(default_factory=dict)
    # The same of pages that a failed sync dropped: only another write brings them to disk.
    dropped: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    inode: _Inode


@dataclass(frozen=True, slots=True)
class _Unlink:
    name: str


@dataclass(frozen=True, slots=True)
class _Rename:
    source: str
    target: str
    inode: _Inode


@dataclass(frozen=True, slots=True)
class _MoveAway:
    """The half of a move between directories that is felt where the file was."""

    name: str
    target: _Directory
    target_name: str
    inode: _Inode


@dataclass(slots=True, eq=False)
class _Directory:
    names: dict[str, _Inode] = field(default_factory=dict)
    synced: dict[str, _Inode] = field(default_factory=dict)
    unsynced: list[_Link | _Unlink | _Rename | _MoveAway] = field(default_factory=list)

    def persist(self, count: int) -> None:
        """The first `count` unsynced changes reach the platter."""
        for change in self.unsynced[:count]:
            match change:
                case _Link(name, inode):
                    self.synced[name] = inode
                case _Unlink(name):
                    self.synced.pop(name, None)
                case _Rename(source, target, inode):
                    self.synced.pop(source, None)
                    self.synced[target] = inode
                case _MoveAway(name, target_directory, target_name, inode):
                    self.synced.pop(name, None)
                    target_directory.synced.setdefault(target_name, inode)
        del self.unsynced[:count]


class SimFile:
    def __init__(self, disk: SimDisk, inode: _Inode, *, is_writable: bool) -> None:
        self._disk = disk
        self._inode = inode
        self._is_writable = is_writable
        self._life = disk.life
        self._is_open = True

    def _check(self) -> None:
        self._disk.check_power()
        if not self._is_open or self._life != self._disk.life:
            raise OSError(errno.EBADF, "file of an earlier life, or closed")

    def pread(self, size: int, offset: int) -> bytes:
        self._check()
        return bytes(self._inode.content[offset : offset + size])

    def pwrite(self, data: bytes, offset: int) -> None:
        self._check()
        if not self._is_writable:
            raise OSError(errno.EBADF, "opened for reading")
        end = offset + len(data)
        self._disk.claim(end - len(self._inode.content))
        inode = self._inode
        content = inode.content
        for page in range(offset // PAGE, -(-end // PAGE)):
            if page not in inode.unsynced:
                start = page * PAGE
                before = inode.dropped.pop(page, None)
                inode.unsynced[page] = (
                    bytes(content[start : start + PAGE]) if before is None else before
                )
        if end > len(content):
            content.extend(bytes(end - len(content)))
        content[offset:end] = data
        self._disk.burn()

    def preallocate(self, size: int) -> None:
        self._check()
        content = self._inode.content
        self._disk.claim(size - len(content))
        if size > len(content):
            content.extend(bytes(size - len(content)))  # Zeros, whatever of them is lost.
        self._sync()

    def fdatasync(self) -> None:
        self._sync()

    def fsync(self) -> None:
        self._sync()

    def _sync(self) -> None:
        self._check()
        self._disk.burn()
        inode = self._inode
        if self._disk.fails_sync():
            rng = self._disk.rng
            inode.dropped.update(
                {page: old for page, old in inode.unsynced.items() if rng.random() < 0.5}
            )
            inode.unsynced.clear()
            raise OSError(errno.EIO, "sync failed")
        inode.unsynced.clear()
        inode.synced_size = len(inode.content)

    def size(self) -> int:
        self._check()
        return len(self._inode.content)

    def close(self) -> None:
        self._is_open = False


class SimLock:
    def __init__(self, disk: SimDisk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._life = disk.life

    def release(self) -> None:
        if self._life == self._disk.life:
            self._disk.locked.discard(self._path)


class SimDisk:
    """Implements `Disk`; see the module's docstring for what it does to the careless."""

    def __init__(self, rng: Random, *, bytes_max: int | None = None) -> None:
        self.rng = rng
        self.bytes_max = bytes_max  # A full disk, when not None; may be changed at any time.
        self.syncs = 0
        self.life = 0
        self.locked: set[str] = set()
        self._directories: dict[str, _Directory] = {"/": _Directory()}
        self._operations_left: int | None = None
        self._syncs_left: int | None = None

    # --- Faults.

    def cut_power_in(self, operations: int) -> None:
        """That many changing operations from now (1: the next) raises PowerCut half-way."""
        self._operations_left = operations

    def fail_sync_in(self, syncs: int) -> None:
        """That many syncs of files from now (1: the next) one fails."""
        self._syncs_left = syncs

    def calm(self) -> None:
        """Take back the faults that were ordered and have not happened."""
        self._operations_left = self._syncs_left = None

    def power_cut(self) -> None:
        """The power is gone and back: what was not synced is in any state the model allows."""
        for directory in self._directories.values():
            directory.persist(self.rng.randint(0, len(directory.unsynced)))
        seen: set[int] = set()
        for directory in self._directories.values():
            directory.unsynced.clear()
            directory.names = dict(directory.synced)
            for inode in directory.names.values():
                if id(inode) not in seen:
                    seen.add(id(inode))
                    self._forget(inode)
        self.kill()

    def kill(self) -> None:
        """The process is gone, the machine is not: nothing is lost but open files and locks."""
        self.life += 1
        self.locked.clear()
        self.calm()

    def _forget(self, inode: _Inode) -> None:
        rng = self.rng
        if len(inode.content) != inode.synced_size:
            sizes = (inode.synced_size, len(inode.content))
            size = rng.choice((*sizes, rng.randint(min(sizes), max(sizes))))
            if size < len(inode.content):
                del inode.content[size:]
            else:
                inode.content.extend(bytes(size - len(inode.content)))
        if inode.unsynced:
            kept = rng.choice((0.0, 0.3, 0.7, 1.0))  # Mixtures alone would hardly keep all or none.
            for page, old in inode.unsynced.items():
                if rng.random() >= kept:
                    is_torn = rng.random() < 0.5
                    _restore(inode.content, page, old, rng if is_torn else None)
        for page, old in inode.dropped.items():
            _restore(inode.content, page, old, None)
        inode.unsynced.clear()
        inode.dropped.clear()
        inode.synced_size = len(inode.content)

    def damage(self, path: str, offset: int, flip: int = 0xFF) -> None:
        """One byte on the platter changes by itself."""
        self._inode(path).content[offset] ^= flip

    # --- Used by SimFile.

    def check_power(self) -> None:
        if self._operations_left is not None and self._operations_left <= 0:
            raise PowerCut

    def burn(self) -> None:
        """One more changing operation; the last one before a power cut does not return."""
        if self._operations_left is not None:
            self._operations_left -= 1
            self.check_power()

    def fails_sync(self) -> bool:
        self.syncs += 1
        if self._syncs_left is not None:
            self._syncs_left -= 1
        if self._syncs_left == 0:
            self._syncs_left = None
            return True
        return False

    def claim(self, more: int) -> None:
        if self.bytes_max is not None and more > 0 and self.bytes_used + more > self.bytes_max:
            raise OSError(errno.ENOSPC, "no space left on device")

    @property
    def bytes_used(self) -> int:
        inodes = {
            id(inode): len(inode.content)
            for directory in self._directories.values()
            for inode in directory.names.values()
        }
        return sum(inodes.values())

    # --- The Disk protocol.

    def create(self, path: str) -> File:
        directory, name = self._place(path)
        if name in directory.names:
            raise FileExistsError(errno.EEXIST, "file exists", path)
        inode = _Inode()
        directory.names[name] = inode
        directory.unsynced.append(_Link(name, inode))
        self.burn()
        return SimFile(self, inode, is_writable=True)

    def open(self, path: str, *, is_writable: bool = False) -> File:
        return SimFile(self, self._inode(path), is_writable=is_writable)

    def rename(self, source: str, target: str) -> None:
        inode = self._inode(source)
        source_directory, source_name = self._place(source)
        target_directory, target_name = self._place(target)
        del source_directory.names[source_name]
        target_directory.names[target_name] = inode
        if source_directory is target_directory:
            source_directory.unsynced.append(_Rename(source_name, target_name, inode))
        else:
            target_directory.unsynced.append(_Link(target_name, inode))
            source_directory.unsynced.append(
                _MoveAway(source_name, target_directory, target_name, inode)
            )
        self.burn()

    def unlink(self, path: str) -> None:
        self._inode(path)
        directory, name = self._place(path)
        del directory.names[name]
        directory.unsynced.append(_Unlink(name))
        self.burn()

    def listdir(self, path: str) -> list[str]:
        directory = self._directory(path)
        prefix = path.rstrip("/") + "/"
        inside = {
            other[len(prefix) :].split("/")[0]
            for other in self._directories
            if other.startswith(prefix) and other != prefix
        }
        return sorted(inside | set(directory.names))

    def exists(self, path: str) -> bool:
        if path in self._directories:
            return True
        parent, name = posixpath.split(path)
        directory = self._directories.get(parent)
        return directory is not None and name in directory.names

    def makedirs(self, path: str) -> None:
        while path not in self._directories:
            self._directories[path] = _Directory()
            path = posixpath.dirname(path) or "/"

    def fsync_dir(self, path: str) -> None:
        directory = self._directory(path)
        self.burn()
        directory.persist(len(directory.unsynced))

    def lock(self, path: str) -> Lock:
        if path in self.locked:
            raise AlreadyLocked(path, None)
        directory, name = self._place(path)
        if name not in directory.names:
            self.create(path).close()
        self.locked.add(path)
        return SimLock(self, path)

    def _directory(self, path: str) -> _Directory:
        self.check_power()
        directory = self._directories.get(path)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return directory

    def _place(self, path: str) -> tuple[_Directory, str]:
        parent, name = posixpath.split(path)
        return self._directory(parent), name

    def _inode(self, path: str) -> _Inode:
        directory, name = self._place(path)
        inode = directory.names.get(name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return inode


def _restore(content: bytearray, page: int, old: bytes, rng: Random | None) -> None:
    """Puts `old` back under the page, or, torn, under some of its sectors."""
    start = page * PAGE
    end = min(start + PAGE, len(content))
    old = old.ljust(PAGE, b"\0")
    for sector in range(start, end, SECTOR):
        if rng is None or rng.random() < 0.5:
            stop = min(sector + SECTOR, end)
            content[sector:stop] = old[sector - start : stop - start]
