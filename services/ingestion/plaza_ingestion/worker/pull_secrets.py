"""Credentials of sources: texts in the worker's own folder, by name. They never reach the city's services."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from plaza_kit.errors import FailedPrecondition

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_MOST_BYTES: Final = 64 * 1024


class CredentialMissing(FailedPrecondition):
    """The worker has no secret of this name."""


class Secrets:
    """One folder, one file a secret."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def text(self, name: str) -> str:
        """The secret, without the line end that editors put behind it. Raises CredentialMissing."""
        if not _NAME.fullmatch(name):
            raise _missing(name, "that is no name of a secret")
        if self._folder is None:
            raise _missing(name, "it was given no folder of secrets")
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(_MOST_BYTES)
            text = data.decode().rstrip("\r\n")
        except FileNotFoundError:
            raise _missing(name, "there is no such file in its folder of secrets") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _missing(name, f"its file cannot be read ({type(error).__name__})") from error
        if not text:
            raise _missing(name, "its file is empty")
        return text


def _missing(name: str, why: str) -> CredentialMissing:
    return CredentialMissing(
        f"The department's worker has no credential {name!r}: {why}.",
        remedy="Write it with `plaza source credential DEPARTMENT NAME` on the worker's machine, or put it into the"
        " secret that is mounted there.",
        facts={"credential": name},
    )
