"""The department's place, where the paths of ingestion lie: a folder of this machine, or a prefix on S3."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from plaza_kit.errors import InvalidArgument
from plaza_kit.objects.s3 import SCHEME, S3Store
from plaza_kit.objects.settings import S3Place

from plaza_ingestion.worker.source import SourceChanged

SEND_AGAIN: Final = "Upload the file again."


class OutsidePrefix(InvalidArgument):
    """A path leads out of the department's folder."""


class Place(Protocol):
    """Blocking. Paths are ingestion's: below the place, parted by slashes. Every method may raise OutsidePrefix."""

    def source(self, path: str) -> Path:
        """An upload, to be read until `clear`. Raises SourceChanged when it is not there."""
        ...

    def folder(self, path: str) -> Path:
        """Where the files of a piece of work are written."""
        ...

    def hand_over(self, paths: Iterable[str]) -> None:
        """These files, written in `folder`, lie at their paths before this returns."""
        ...

    def clear(self) -> None:
        """Nothing is read or written any more for the piece of work."""
        ...


def place_at(address: str, s3: S3Place) -> Place:
    """By the setting `PLAZA_STAGING_PREFIX`."""
    return Bucket(address, s3) if address.startswith(SCHEME) else Folder(Path(address))


class Folder:
    """Files are read and written where they lie."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def source(self, path: str) -> Path:
        place = self._inside(path)
        if not place.is_file():
            raise _gone()
        return place

    def folder(self, path: str) -> Path:
        return self._inside(path)

    def hand_over(self, paths: Iterable[str]) -> None:
        pass

    def clear(self) -> None:
        pass

    def _inside(self, path: str) -> Path:
        place = (self._root / path).resolve()
        if not path or not place.is_relative_to(self._root) or place == self._root:
            raise _outside(path)
        return place


class Bucket:
    """Files are copied here for one piece of work at a time, and what it made is copied back."""

    def __init__(self, address: str, s3: S3Place) -> None:
        self._store = S3Store(s3)
        self._prefix = address.removeprefix(SCHEME).rstrip("/")
        self._scratch: Path | None = None

    def source(self, path: str) -> Path:
        copy = self._here(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._store.get(self._key(path), copy)
        except FileNotFoundError as error:
            raise _gone() from error
        return copy

    def folder(self, path: str) -> Path:
        return self._here(path)

    def hand_over(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._store.put(self._here(path), self._key(path))

    def clear(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _here(self, path: str) -> Path:
        key = self._key(path)
        if self._scratch is None:
            self._scratch = self._store.part(key)
        return self._scratch / path

    def _key(self, path: str) -> str:
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise _outside(path)
        return f"{self._prefix}/{path}"


def _outside(path: str) -> OutsidePrefix:
    return OutsidePrefix(
        f"The path {path!r} is not in the department's folder.",
        remedy="Ingestion and the worker must agree on the department's folder.",
    )


def _gone() -> SourceChanged:
    return SourceChanged("The uploaded file is no longer there.", remedy=SEND_AGAIN)
