"""Copies of immutable objects on this machine's disk, shared by its processes.

    <folder>/objects/<2>/<64>             copies kept for the next use, named by the hash of their key
    <folder>/processes/<id>/objects/…     hard links to those that a process has in use, under their keys
    <folder>/processes/<id>/scratch/…     files of the process's own
    <folder>/processes/<id>.lock          held as long as that process lives

A link keeps the bytes however the copy is thrown away meanwhile, so that nobody waits for anybody: a process that
finds no copy to link fetches one. What a killed process had in use is cleared away by the others.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from plaza_kit.objects.store import CacheFull

_AT_ONCE: Final = 8
"""Objects that are fetched at once for one user of them."""
Fetch = Callable[[str, Path], None]
"""Writes an object to a file."""


@dataclass
class _Use:
    users: int = 0
    fetching: threading.Lock = field(default_factory=threading.Lock)


class Cache:
    """One process's way to the copies. Nothing is made on disk before the first use."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._objects = folder / "objects"
        self._processes = folder / "processes"
        self._limit = limit_bytes
        self._mine = self._processes / uuid.uuid4().hex
        self._in_use = self._mine / "objects"
        self._scratch = self._mine / "scratch"
        self._guard = threading.RLock()
        self._lock: int | None = None
        self._uses: dict[str, _Use] = {}
        self._added: int | None = None
        """Bytes since the copies were last counted; None: never."""
        self._kept = 0
        """Bytes of them that were counted."""

    def path(self, key: str) -> Path:
        """Where the object lies while it is held. Raises ValueError for a key that leads elsewhere."""
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise ValueError(f"{key!r} is not the key of an object")
        return self._in_use / key

    def key(self, path: Path) -> str | None:
        """The inverse; None for other paths."""
        here = self._in_use
        return str(path.relative_to(here)) if path.is_relative_to(here) else None

    def scratch(self) -> Path:
        """A new name for a file of this process; the folder is there."""
        self._open()
        return self._scratch / uuid.uuid4().hex

    @contextmanager
    def held(self, keys: Iterable[str], fetch: Fetch) -> Iterator[None]:
        """While these objects lie at their paths; those without a copy are fetched. Raises as `fetch`, CacheFull."""
        wanted = sorted(set(keys))
        self._open()
        with self._guard:
            uses = [self._uses.setdefault(key, _Use()) for key in wanted]
            for use in uses:
                use.users += 1
        try:
            self._bring(wanted, uses, fetch)
            yield
        finally:
            self._let_go(wanted)

    def offer(self, key: str, path: Path) -> None:
        """A file of `scratch` that has this object's bytes: kept as a copy, if that can be had for nothing."""
        if not self._limit:
            return
        with suppress(OSError):
            copy = self._copy(key)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(path)
            self._count(path.stat().st_size)

    def close(self) -> None:
        """Removes what this process alone had."""
        with self._guard:
            if self._lock is not None:
                shutil.rmtree(self._mine, ignore_errors=True)
                self._lock_file(self._mine).unlink(missing_ok=True)
                os.close(self._lock)
                self._lock = None

    def _bring(self, keys: list[str], uses: list[_Use], fetch: Fetch) -> None:
        missing = [(key, use) for key, use in zip(keys, uses, strict=True) if not self._linked(key)]
        if len(missing) < 2:
            for key, use in missing:
                self._fetched(key, use, fetch)
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(missing)), thread_name_prefix="objects") as pool:
            for done in [pool.submit(self._fetched, key, use, fetch) for key, use in missing]:
                done.result()

    def _linked(self, key: str) -> bool:
        """Whether the object lies at its path, if need be by a link to its copy."""
        path = self.path(key)
        with self._guard:
            if path.exists():
                return True
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.hardlink_to(self._copy(key))
            except FileNotFoundError:
                return False
        # When it was last used. The time of its bytes stays: DuckDB keeps what it read as long as that does.
        with suppress(OSError):
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        return True

    def _fetched(self, key: str, use: _Use, fetch: Fetch) -> None:
        with use.fetching:
            if self._linked(key):  # somebody else has fetched it meanwhile
                return
            part = self.scratch()
            try:
                self._into(part, key, fetch)
                self.offer(key, part)
                with self._guard:
                    self.path(key).parent.mkdir(parents=True, exist_ok=True)
                    part.replace(self.path(key))
            finally:
                part.unlink(missing_ok=True)

    def _into(self, part: Path, key: str, fetch: Fetch) -> None:
        try:
            fetch(key, part)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._throw_away(0)
            try:
                fetch(key, part)
            except OSError as again:
                if again.errno != errno.ENOSPC:
                    raise
                raise CacheFull(
                    f"no room in {self._objects.parent} for {key.rpartition('/')[2]}",
                    remedy="Make the volume of PLAZA_S3_CACHE_DIR larger, or set PLAZA_S3_CACHE_BYTES lower.",
                ) from again

    def _let_go(self, keys: list[str]) -> None:
        with self._guard:
            for key in keys:
                use = self._uses[key]
                use.users -= 1
                if use.users:
                    continue
                del self._uses[key]
                path = self.path(key)
                path.unlink(missing_ok=True)
                for folder in path.parents:
                    if folder == self._in_use or not _removed(folder):
                        break

    def _copy(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._objects / name[:2] / name

    def _count(self, size: int) -> None:
        """Looks at the disk now and then: other processes add too."""
        with self._guard:
            self._added = None if self._added is None else self._added + size
            if (
                self._added is None
                or self._added > self._limit // 16
                or self._kept + self._added > self._limit
            ):
                self._throw_away(self._limit)

    def _throw_away(self, limit: int) -> None:
        """Removes the copies that were not used for the longest time, until those not in use come to the limit."""
        self._bury()
        copies = []
        for folder in self._objects.glob("*"):
            for copy in folder.glob("*"):
                with suppress(FileNotFoundError):
                    known = copy.stat()
                    if known.st_nlink == 1:
                        copies.append((known.st_atime_ns, known.st_size, copy))
        kept = sum(size for _, size, _ in copies)
        if kept > limit:
            for _, size, copy in sorted(copies):
                if kept <= limit * 9 // 10:
                    break
                copy.unlink(missing_ok=True)
                kept -= size
        with self._guard:
            self._kept, self._added = kept, 0

    def _open(self) -> None:
        with self._guard:
            if self._lock is None:
                self._processes.parent.mkdir(parents=True, exist_ok=True)
                for folder in (self._objects, self._processes):
                    folder.mkdir(mode=0o700, exist_ok=True)
                self._bury()
                self._lock = self._locked()
                self._scratch.mkdir(parents=True)

    def _locked(self) -> int:
        path = self._lock_file(self._mine)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            os.close(descriptor)  # somebody took it for a dead one's before it was locked

    def _bury(self) -> None:
        """Clears away what dead processes had in use."""
        for path in self._processes.glob("*.lock"):
            folder = path.with_suffix("")
            if folder == self._mine:
                continue
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                else:
                    shutil.rmtree(folder, ignore_errors=True)
                    path.unlink(missing_ok=True)
                finally:
                    os.close(descriptor)

    @staticmethod
    def _lock_file(folder: Path) -> Path:
        return folder.with_suffix(".lock")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # not empty
        return False
    return True
