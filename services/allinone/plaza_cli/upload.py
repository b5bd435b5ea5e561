"""A file on its way to its department, piece by piece."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .failures import WrongUse
from .progress import Advance, bar
from .surroundings import Plaza

_PIECE = 256 * 1024


def upload(here: Plaza, department: str, path: Path) -> dict[str, Any]:
    """The `Upload` that the gateway made of the file. Never more than one piece of it is in memory.

    Raises `WrongUse` for what is no readable file, or changes while it is read; then nothing was kept.
    """
    size = _size(path)
    try:
        with bar(here.out, path.name, size) as advance:
            return here.api.upload(
                f"departments/{department}/uploads",
                lambda: _pieces(path, size, advance),
                size,
                {"fileName": _shown_name(path)},
            )
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except KeyboardInterrupt:
        here.out.note(f"The upload of {path} was broken off: nothing of it was kept.")
        raise


def _pieces(path: Path, size: int, advance: Advance) -> Iterator[bytes]:
    sent = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            sent += len(piece)
            if sent > size:
                break
            yield piece
            advance(sent, size)
    if sent != size:
        # The length was promised ahead: the request cannot be completed, and the gateway drops it.
        raise WrongUse(
            f"{path} changed while it was read; nothing was loaded", remedy="Run the command again."
        )


def _shown_name(path: Path) -> str:
    # A file system may hold names that are not UTF-8.
    return os.fsencode(path.name).decode("utf-8", "replace")


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise WrongUse(f"{path} is not a file", remedy="Write what it gives into a file first.")
    if not os.access(path, os.R_OK):
        raise WrongUse(f"{path} cannot be read: permission denied")
    return found.st_size
