"""One file of the log, on the side of the threads that write it.

A segment is filled with zeros before its first batch, so that the sync of a batch has no metadata
to write; that takes tens of milliseconds and is done ahead, in another thread, while the segment
before it is still being filled. The offsets are the business of `wal.py`, on the loop.
"""

from __future__ import annotations

import posixpath
import threading
from typing import TYPE_CHECKING

from .records import SEGMENT_START, pack_segment_header

if TYPE_CHECKING:
    from .disk import Disk, File


class Segment:
    def __init__(self, number: int, path: str, size: int, *, is_created: bool) -> None:
        self.number = number
        self.path = path
        self.size = size
        self.end = SEGMENT_START  # Behind the last batch staged; loop only.
        self.is_created = is_created  # Set in a thread when the file lasts, read anywhere.
        self._file: File | None = None
        self._lock = threading.Lock()

    @property
    def bytes_on_disk(self) -> int:
        return max(self.size, self.end)  # A batch larger than a segment extends its own.

    def create(self, disk: Disk, cluster_id: int) -> None:
        """Makes the file, lastingly, unless that is done; whoever comes second waits."""
        with self._lock:
            if self.is_created:
                return
            file = disk.create(self.path)
            file.preallocate(self.size)
            # Last: a file without its header is known to hold nothing (correctness L1).
            file.pwrite(pack_segment_header(cluster_id, self.number), 0)
            file.fsync()
            disk.fsync_dir(posixpath.dirname(self.path))
            self._file = file
            self.is_created = True

    def file(self, disk: Disk, cluster_id: int) -> File:
        """The file, opened; made now if nobody made it ahead."""
        if not self.is_created:
            self.create(disk, cluster_id)
        if self._file is None:
            self._file = disk.open(self.path, is_writable=True)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
