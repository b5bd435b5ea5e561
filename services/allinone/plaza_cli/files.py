"""Files that a command writes: whole, or not under their name."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx

from .client import Api, Parameters
from .failures import BrokenOff, WrongUse
from .output import count


def refuse_existing(path: Path, force: bool) -> None:
    """Raises `WrongUse` when `path` is there already and `--force` was not given."""
    if not force and (path.exists() or path.is_symlink()):
        raise WrongUse(f"{path} exists already", remedy="Choose another --output, or add --force.")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well; whatever goes wrong, nothing is left behind.

    Raises `WrongUse` when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        stream = temporary.open("xb")
    except OSError as error:
        raise WrongUse(f"{path} cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
        try:
            temporary.replace(path)
        except OSError as error:
            raise WrongUse(f"{path} cannot be written: {error.strerror}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def copy(api: Api, path: str, query: Parameters, write: Callable[[bytes], object], what: str) -> int:
    """An answer, piece by piece; its size in bytes. Raises `BrokenOff`; `what`: in its words, "the report"."""
    size = 0
    with api.stream(path, query) as response:
        try:
            for piece in response.iter_bytes():
                write(piece)
                size += len(piece)
        except httpx.HTTPError as error:
            raise BrokenOff(
                f"{what} broke off after {count(size, 'byte')}: {error}", remedy="Run the command again."
            ) from error
    return size
