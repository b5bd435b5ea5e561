"""A store in a folder of this machine: objects are read where they lie."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from plaza_kit.objects.store import Digest, Found, copy


class FolderStore:
    """The `Store` below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def part(self, key: str) -> Path:
        target = self._root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")

    def put(self, part: Path, key: str) -> None:
        sync(part)
        target = self._root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        sync(target.parent)

    def get(self, key: str, target: Path) -> Digest:
        with (self._root / key).open("rb") as source, target.open("wb") as writer:
            return copy(source, writer)

    def path(self, key: str) -> Path:
        return self._root / key

    def key(self, path: Path) -> str | None:
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else None

    def held(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        return nullcontext()

    def renew(self, key: str, size: int) -> bool:
        target = self._root / key
        if not target.exists() or target.stat().st_size != size:
            return False
        os.utime(target)
        return True

    def find(self, key: str) -> Found | None:
        try:
            known = (self._root / key).stat()
        except FileNotFoundError:
            return None
        return Found(key, known.st_size, datetime.fromtimestamp(known.st_mtime, UTC))

    def listed(self, prefix: str) -> Iterator[Found]:
        for parent, _, names in os.walk(self._root / prefix):
            for name in names:
                found = self.find(str((Path(parent) / name).relative_to(self._root)))
                if found is not None:
                    yield found

    def remove(self, key: str) -> None:
        (self._root / key).unlink(missing_ok=True)

    def remove_all(self, prefix: str) -> None:
        shutil.rmtree(self._root / prefix, ignore_errors=True)

    def remove_empty(self, prefix: str) -> None:
        with suppress(OSError):  # not empty
            (self._root / prefix).rmdir()

    def close(self) -> None:
        pass


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
