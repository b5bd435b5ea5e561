"""What the command remembers between runs: a session per Plaza, and the ledger keys pinned at log-in.

Layout of the config directory (0700): `sessions/<host>-<digest>.json` (0600), a `.lock` beside each, and
`keys/<host>-<digest>.json`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .failures import Failure, WrongUse


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in. The tokens go to `url` and to the issuer, nowhere else, and into no `repr`."""

    url: str
    issuer: str
    client_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    """Empty when the issuer gave none."""
    expires_at: float
    """End of the access token, seconds since the epoch."""


class BrokenSession(Failure):
    """A file of ours that cannot be read back."""


class SessionStore:
    """Files below one directory. Every write is whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, url: str) -> Session | None:
        """The session for `url`. Raises `BrokenSession`."""
        path = self._session_path(url)
        document = _read(path)
        if document is None:
            return None
        names = {item.name for item in fields(Session)}
        try:
            if document["url"] != url:
                raise ValueError("it is for another address")
            return Session(**{name: document[name] for name in names})
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenSession(f"{path} is not a session: {error}", remedy="Log in again.") from error

    def save(self, session: Session) -> None:
        _write(self._session_path(session.url), asdict(session))

    def forget(self, url: str) -> None:
        self._session_path(url).unlink(missing_ok=True)

    @contextmanager
    def lock(self, url: str) -> Iterator[None]:
        """Holds the session of `url` against other processes; released by the system when we die."""
        path = self._session_path(url).with_suffix(".lock")
        _make_directory(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_writable(path.parent, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def pin(self, url: str, vkeys: list[str]) -> tuple[str, ...]:
        """Adds ledger keys to those trusted for `url`; gives those that are new beside older ones.

        Older keys stay: what was downloaded before a rotation must stay verifiable.
        """
        known = self.pinned(url)
        added = tuple(vkey for vkey in dict.fromkeys(vkeys) if vkey not in known)
        if added:
            _write(self._keys_path(url), {"url": url, "keys": [*known, *added]})
        return added if known else ()

    def pinned(self, url: str) -> tuple[str, ...]:
        """The ledger keys trusted for `url`."""
        return _keys_in(self._keys_path(url))

    def all_pinned(self) -> tuple[str, ...]:
        """The ledger keys of every Plaza that this person logged in to."""
        directory = self._directory / "keys"
        found = sorted(directory.glob("*.json")) if directory.is_dir() else []
        return tuple(dict.fromkeys(vkey for path in found for vkey in _keys_in(path)))

    def _session_path(self, url: str) -> Path:
        return self._directory / "sessions" / f"{_slug(url)}.json"

    def _keys_path(self, url: str) -> Path:
        return self._directory / "keys" / f"{_slug(url)}.json"


def _slug(url: str) -> str:
    host = re.sub(r"[^A-Za-z0-9.]+", "-", url.partition("://")[2]).strip("-.")[:80]
    return f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _keys_in(path: Path) -> tuple[str, ...]:
    document = _read(path)
    if document is None:
        return ()
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BrokenSession(f"{path} is not a list of keys", remedy="Remove it and log in again.")
    return tuple(keys)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BrokenSession(
            f"{path} cannot be read: {error}", remedy="Remove it and log in again."
        ) from error
    if not isinstance(document, dict):
        raise BrokenSession(f"{path} is not a JSON object", remedy="Remove it and log in again.")
    return document


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(directory, error) from error


def _not_writable(directory: Path, error: OSError) -> WrongUse:
    return WrongUse(
        f"the config directory {directory} cannot be written: {error.strerror}",
        remedy="Set PLAZA_CONFIG_DIR to a directory of your own.",
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    _make_directory(path.parent)
    # mkstemp makes the file 0600 before a byte of it is written.
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError as error:
        raise _not_writable(path.parent, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, ensure_ascii=False, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
