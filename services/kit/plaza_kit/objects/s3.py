"""A store on S3: objects are read from copies on this machine's disk.

Arrow's output stream makes an object of what it has when it is closed, also after an error. So nothing is written
to it that is not a whole file here first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from plaza_kit.objects.cache import Cache
from plaza_kit.objects.settings import S3Place
from plaza_kit.objects.store import (
    CHUNK_BYTES,
    Digest,
    Found,
    StoreRefuses,
    StoreUnavailable,
    check_name,
    copy,
)

SCHEME: Final = "s3://"
_YOUNG: Final = timedelta(minutes=5)
"""Half of the shortest time after which anybody clears away what is not in use."""
_REFUSED: Final = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "SIGNATURE_DOES_NOT_MATCH", "INVALID_ACCESS_KEY_ID")


class S3Store:
    """The `Store` of all buckets that the keys open; a key begins with its bucket."""

    def __init__(self, place: S3Place) -> None:
        self._access = place.access
        self._cache = Cache(place.cache_dir, place.cache_bytes)

    @property
    def filesystem(self) -> Any:
        """Arrow's client, for PyIceberg."""
        return self._access.filesystem()

    def part(self, key: str) -> Path:
        return self._cache.scratch()

    def put(self, part: Path, key: str) -> None:
        size = part.stat().st_size
        with s3_errors(key):
            try:
                with part.open("rb") as source, self.filesystem.open_output_stream(key) as target:
                    while chunk := source.read(CHUNK_BYTES):
                        target.write(chunk)
            except BaseException:
                with suppress(OSError):  # closing the stream may have made an object of a part
                    self.filesystem.delete_file(key)
                raise
            found = self.find(key)
        if found is None or found.size != size:
            raise StoreUnavailable(f"{key} was not stored as a whole", remedy="Try again.")
        self._cache.offer(key, part)
        part.unlink()

    def get(self, key: str, target: Path) -> Digest:
        with (
            s3_errors(key),
            self.filesystem.open_input_file(key) as source,
            target.open("wb") as writer,
        ):
            return copy(source, writer)

    def path(self, key: str) -> Path:
        return self._cache.path(key)

    def key(self, path: Path) -> str | None:
        return self._cache.key(path)

    def held(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        return self._cache.held(keys, self._fetch)

    def renew(self, key: str, size: int) -> bool:
        found = self.find(key)
        return found is not None and found.size == size and datetime.now(UTC) - found.changed < _YOUNG

    def find(self, key: str) -> Found | None:
        with s3_errors(key):
            return _found(self.filesystem.get_file_info(key))

    def listed(self, prefix: str) -> Iterator[Found]:
        from pyarrow.fs import FileSelector

        with s3_errors(prefix):
            known = self.filesystem.get_file_info(FileSelector(prefix, allow_not_found=True, recursive=True))
        for one in known:
            if (found := _found(one)) is not None:
                yield found

    def remove(self, key: str) -> None:
        with s3_errors(key), suppress(FileNotFoundError):
            self.filesystem.delete_file(key)

    def remove_all(self, prefix: str) -> None:
        with s3_errors(prefix), suppress(FileNotFoundError):
            self.filesystem.delete_dir(prefix)

    def remove_empty(self, prefix: str) -> None:
        if next(self.listed(prefix), None) is None:
            self.remove_all(prefix)

    def close(self) -> None:
        self._cache.close()

    def _fetch(self, key: str, target: Path) -> None:
        check_name(key, self.get(key, target))


def _found(info: Any) -> Found | None:
    from pyarrow.fs import FileType

    return Found(info.path, info.size, info.mtime) if info.type == FileType.File else None


@contextmanager
def s3_errors(key: str) -> Iterator[None]:
    """What Arrow says about S3, in our words; a missing object stays FileNotFoundError, a full disk OSError."""
    try:
        yield
    except OSError as error:
        said = str(error)
        if "AWS Error" not in said:
            raise
        if any(word in said for word in _REFUSED):
            raise StoreRefuses(
                f"S3 does not let us at {key}",
                remedy="Check bucket, PLAZA_S3_ACCESS_KEY and what its policy opens.",
            ) from error
        raise StoreUnavailable(f"S3 does not answer about {key}", remedy="Try again in a while.") from error
