"""What must outlive a restart: sessions, refresh tokens, device codes, failed passwords. One SQLite file.

Tokens and codes are random texts of ours; only their SHA-256 is kept. Times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaza_kit.errors import FailedPrecondition

from .model import AccountId, ClientId

_VERSION = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, account_id TEXT NOT NULL, client_id TEXT NOT NULL, scope TEXT NOT NULL,
  expires_at REAL NOT NULL, ended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS refresh_tokens (
  digest BLOB PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
  expires_at REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS refresh_tokens_session ON refresh_tokens (session_id);
CREATE TABLE IF NOT EXISTS device_codes (
  digest BLOB PRIMARY KEY, user_code TEXT NOT NULL UNIQUE, client_id TEXT NOT NULL, scope TEXT NOT NULL,
  expires_at REAL NOT NULL, interval REAL NOT NULL, polled_at REAL, account_id TEXT, allowed INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS authorization_codes (
  digest BLOB PRIMARY KEY, client_id TEXT NOT NULL, account_id TEXT NOT NULL, redirect_uri TEXT NOT NULL,
  scope TEXT NOT NULL, nonce TEXT NOT NULL, challenge TEXT NOT NULL, expires_at REAL NOT NULL,
  session_id TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS password_failures (
  username TEXT PRIMARY KEY, count INTEGER NOT NULL, last_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS closings (
  name TEXT PRIMARY KEY, closed INTEGER NOT NULL, at REAL NOT NULL
) STRICT;
"""


class StoreTooNew(FailedPrecondition):
    """The file was written by a later release."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(
            f"{path} has version {version}; this release knows {_VERSION}.",
            remedy="Run the release that wrote it, or remove the file: everybody logs in again.",
        )


_DEVICE_CODES = (
    "SELECT digest, user_code, client_id, scope, expires_at, interval, polled_at, account_id, allowed"
    " FROM device_codes"
)


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in that lives on by refreshing."""

    id: str
    account_id: AccountId
    client_id: ClientId
    scope: str
    expires_at: float
    ended: bool


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link of a session's chain; each is good once."""

    digest: bytes
    session: Session
    expires_at: float
    used: bool


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A command that waits for somebody to allow it (RFC 8628)."""

    digest: bytes
    user_code: str
    client_id: ClientId
    scope: str
    expires_at: float
    interval: float
    polled_at: float | None
    account_id: AccountId | None
    """Who decided; None while nobody has."""
    allowed: bool


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """What a person's browser brings back to the client that sent it (RFC 6749, 4.1.2)."""

    digest: bytes
    client_id: ClientId
    account_id: AccountId
    redirect_uri: str
    scope: str
    nonce: str
    """Goes into the ID token; empty: the client gave none."""
    challenge: str
    """PKCE, method S256 (RFC 7636)."""
    expires_at: float
    session_id: str | None
    """The session that it was exchanged for; None while it was not."""


@dataclass(frozen=True, slots=True)
class Closing:
    """An account or a client was closed or opened again."""

    name: str
    """Log-in name, or client id."""
    at: float


def digest_of(text: str) -> bytes:
    """What is kept of a token: enough to know it again, not enough to use it."""
    return hashlib.sha256(text.encode()).digest()


class Store:
    """All reads and writes. For one thread; changes belong inside `transaction`."""

    def __init__(self, directory: Path) -> None:
        """Opens or makes `sessions.sqlite3` in the directory. Raises StoreTooNew."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "sessions.sqlite3"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        # Whoever makes the app opens the file; afterwards the event loop's thread alone uses it.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > _VERSION:
            self._db.close()
            raise StoreTooNew(path, version)
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
            f"{_SCHEMA} PRAGMA user_version = {_VERSION};"
        )

    def close(self) -> None:
        """Ends the connection; the file is complete."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def forget_expired(self, now: float) -> None:
        """Removes what no longer answers anything."""
        self._db.execute("DELETE FROM sessions WHERE expires_at < ?", (now,))
        self._db.execute("DELETE FROM device_codes WHERE expires_at < ?", (now - 3600,))
        self._db.execute("DELETE FROM authorization_codes WHERE expires_at < ?", (now - 3600,))

    # Sessions and refresh tokens

    def start_session(self, session: Session) -> None:
        """Keeps a new session."""
        self._db.execute(
            "INSERT INTO sessions (id, account_id, client_id, scope, expires_at) VALUES (?, ?, ?, ?, ?)",
            (session.id, session.account_id, session.client_id, session.scope, session.expires_at),
        )

    def end_session(self, session_id: str) -> None:
        """No refresh token of the session is good any more."""
        self._db.execute("UPDATE sessions SET ended = 1 WHERE id = ?", (session_id,))

    def session(self, session_id: str) -> Session | None:
        """The session, ended ones included."""
        row = self._db.execute(
            "SELECT id, account_id, client_id, scope, expires_at, ended FROM sessions WHERE id = ?",
            (session_id,),
        ).fetchone()
        return None if row is None else _session(row)

    def add_refresh_token(self, digest: bytes, session_id: str, expires_at: float) -> None:
        """Keeps a new link of the chain."""
        self._db.execute(
            "INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES (?, ?, ?)",
            (digest, session_id, expires_at),
        )

    def use_refresh_token(self, digest: bytes) -> None:
        """The token has been exchanged for its successor."""
        self._db.execute("UPDATE refresh_tokens SET used = 1 WHERE digest = ?", (digest,))

    def refresh_token(self, digest: bytes) -> RefreshToken | None:
        """The token, used and expired ones included."""
        row = self._db.execute(
            "SELECT s.id, s.account_id, s.client_id, s.scope, s.expires_at, s.ended, r.expires_at, r.used"
            " FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.digest = ?",
            (digest,),
        ).fetchone()
        return None if row is None else RefreshToken(digest, _session(row[:6]), float(row[6]), bool(row[7]))

    # Device codes

    def add_device_code(self, code: DeviceCode) -> None:
        """Keeps a code that nobody has decided on."""
        self._db.execute(
            "INSERT INTO device_codes (digest, user_code, client_id, scope, expires_at, interval)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (code.digest, code.user_code, code.client_id, code.scope, code.expires_at, code.interval),
        )

    def device_code(self, digest: bytes) -> DeviceCode | None:
        """By the device's secret."""
        return _device_code(self._db.execute(f"{_DEVICE_CODES} WHERE digest = ?", (digest,)).fetchone())

    def device_code_shown_as(self, user_code: str) -> DeviceCode | None:
        """By what the person types."""
        return _device_code(self._db.execute(f"{_DEVICE_CODES} WHERE user_code = ?", (user_code,)).fetchone())

    def decide(self, user_code: str, account_id: AccountId, allowed: bool) -> None:
        """Somebody has allowed or denied; the first decision stays."""
        self._db.execute(
            "UPDATE device_codes SET account_id = ?, allowed = ? WHERE user_code = ? AND account_id IS NULL",
            (account_id, allowed, user_code),
        )

    def polled(self, digest: bytes, now: float, interval: float) -> None:
        """The device has asked, and must wait so many seconds before it asks again."""
        self._db.execute(
            "UPDATE device_codes SET polled_at = ?, interval = ? WHERE digest = ?", (now, interval, digest)
        )

    def remove_device_code(self, digest: bytes) -> None:
        """A code is good for one token."""
        self._db.execute("DELETE FROM device_codes WHERE digest = ?", (digest,))

    # Authorization codes

    def add_authorization_code(self, code: AuthorizationCode) -> None:
        """Keeps a code that nobody has exchanged."""
        self._db.execute(
            "INSERT INTO authorization_codes (digest, client_id, account_id, redirect_uri, scope, nonce,"
            " challenge, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                code.digest,
                code.client_id,
                code.account_id,
                code.redirect_uri,
                code.scope,
                code.nonce,
                code.challenge,
                code.expires_at,
            ),
        )

    def authorization_code(self, digest: bytes) -> AuthorizationCode | None:
        """The code, exchanged and expired ones included."""
        row = self._db.execute(
            "SELECT digest, client_id, account_id, redirect_uri, scope, nonce, challenge, expires_at,"
            " session_id FROM authorization_codes WHERE digest = ?",
            (digest,),
        ).fetchone()
        if row is None:
            return None
        return AuthorizationCode(row[0], ClientId(row[1]), AccountId(row[2]), *row[3:])

    def use_authorization_code(self, digest: bytes, session_id: str) -> None:
        """The code was exchanged; it is good once."""
        self._db.execute(
            "UPDATE authorization_codes SET session_id = ? WHERE digest = ?", (session_id, digest)
        )

    # Failed passwords

    def password_failures(self, username: str) -> tuple[int, float]:
        """How often in a row, and when last; (0, 0) when never."""
        row = self._db.execute(
            "SELECT count, last_at FROM password_failures WHERE username = ?", (username,)
        ).fetchone()
        return (0, 0.0) if row is None else (int(row[0]), float(row[1]))

    def set_password_failures(self, username: str, count: int, now: float, forget_before: float) -> None:
        """Notes a failure, and drops those too old to count."""
        self._db.execute("DELETE FROM password_failures WHERE last_at < ?", (forget_before,))
        self._db.execute(
            "INSERT INTO password_failures (username, count, last_at) VALUES (?, ?, ?)"
            " ON CONFLICT (username) DO UPDATE SET count = excluded.count, last_at = excluded.last_at",
            (username, count, now),
        )

    def clear_password_failures(self, username: str) -> None:
        """The right password was given."""
        self._db.execute("DELETE FROM password_failures WHERE username = ?", (username,))

    # Closed accounts

    def set_closed(self, name: str, closed: bool, now: float) -> None:
        """Closes an account or a client by its name, or opens it again."""
        self._db.execute(
            "INSERT INTO closings (name, closed, at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET closed = excluded.closed, at = excluded.at",
            (name, closed, now),
        )

    def is_closed(self, name: str) -> bool:
        """Was it closed, and not opened again?"""
        row = self._db.execute("SELECT closed FROM closings WHERE name = ?", (name,)).fetchone()
        return row is not None and bool(row[0])

    def closings(self, since: float) -> list[Closing]:
        """The last change of each name, newest first."""
        rows = self._db.execute(
            "SELECT name, at FROM closings WHERE at >= ? ORDER BY at DESC, name", (since,)
        )
        return [Closing(str(name), float(at)) for name, at in rows]


def _session(row: tuple[str, str, str, str, float, int]) -> Session:
    return Session(row[0], AccountId(row[1]), ClientId(row[2]), row[3], row[4], bool(row[5]))


def _device_code(row: tuple[Any, ...] | None) -> DeviceCode | None:
    if row is None:
        return None
    return DeviceCode(
        digest=row[0],
        user_code=row[1],
        client_id=ClientId(row[2]),
        scope=row[3],
        expires_at=row[4],
        interval=row[5],
        polled_at=row[6],
        account_id=None if row[7] is None else AccountId(row[7]),
        allowed=bool(row[8]),
    )
