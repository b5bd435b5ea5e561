"""The folder of the one-machine mode (`PLAZA_HOME`): who holds it, its secrets, its keys, its sockets."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaza_issuer.realm import required_variables
from plaza_kit.errors import AlreadyExists
from plaza_kit.signing import KeyRing, SigningKey


@dataclass(frozen=True, slots=True)
class Service:
    """One service that is started."""

    name: str
    schema: str
    """PostgreSQL schema, and the role that owns it."""
    module: str
    """Started with `python -m`."""

    @property
    def client(self) -> str:
        """Its OIDC client."""
        return f"plaza-{self.name}"

    @property
    def address_variable(self) -> str:
        """Where its peers look for its gRPC address."""
        return f"PLAZA_{self.schema.upper()}_ADDRESS"

    @property
    def password_variable(self) -> str:
        """Its database password among the secrets."""
        return f"PLAZA_DATABASE_PASSWORD_{self.schema.upper()}"


SERVICES = (
    Service("security", "security", "plaza_security"),
    Service("catalogue", "catalogue", "plaza_catalogue"),
    Service("ingestion", "ingestion", "plaza_ingestion"),
    Service("quality", "quality", "plaza_quality"),
    Service("sharing", "sharing", "plaza_sharing"),
    Service("open-data", "open_data", "plaza_opendata"),
)
"""All services behind the gateway, in the order in which they are started."""

LAKE_OWNER = "ingestion"
LAKE_READERS = ("quality", "sharing", "open_data")
"""Roles that read the lake's catalog; its owner alone writes."""

LONGEST_SOCKET_PATH = 100
"""Unix socket addresses hold 107 bytes; some room for the file's own name."""


class AlreadyRunning(AlreadyExists):
    """Another `plaza up` holds this home."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home; nothing here is created before `prepare`."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`PLAZA_HOME`, else `~/.plaza`."""
        return cls(Path(os.environ.get("PLAZA_HOME") or Path.home() / ".plaza").resolve())

    @property
    def status_file(self) -> Path:
        """What `plaza status` reads."""
        return self.root / "run" / "status.json"

    @property
    def trust_file(self) -> Path:
        """Public keys that every service pins."""
        return self.root / "keys" / "trust.json"

    @property
    def security_key(self) -> Path:
        """Signs grants and the policy bundle."""
        return self.root / "keys" / "security.key"

    @property
    def ledger_key(self) -> Path:
        """Signs the ledger's checkpoints."""
        return self.root / "keys" / "ledger.key"

    @property
    def console_key(self) -> Path:
        """Seals the sessions of the console."""
        return self.root / "keys" / "console.key"

    @property
    def lake(self) -> Path:
        """Files of all tables."""
        return self.root / "lake"

    @property
    def staging(self) -> Path:
        """Uploads and staged files; a department's part is `departments/{id}` in it."""
        return self.root / "staging"

    def department_secrets(self, department: str) -> Path:
        """Credentials of a department's sources, by name: for its worker alone, beside what ingestion reads."""
        return self.root / "departments" / department / "secrets"

    @property
    def releases(self) -> Path:
        """What open data has published."""
        return self.root / "releases"

    @property
    def demo_mark(self) -> Path:
        """Is there when the demo city was made whole."""
        return self.root / "demo-made"

    def log_file(self, process: str) -> Path:
        """The log of one process."""
        return self.root / "logs" / f"{process}.log"

    def prepare(self) -> dict[str, str]:
        """Create what is missing, readable by this user only; answers the secrets by variable name."""
        inner = (self.root / name for name in ("run", "keys", "logs", "secrets"))
        for folder in (self.root, *inner, self.lake, self.staging, self.releases):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        security = SigningKey.load_or_create(self.security_key, "security.plaza.local")
        SigningKey.load_or_create(self.ledger_key, "ledger.plaza.local")
        if not self.console_key.exists():
            _write(self.console_key, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        _write(self.trust_file, KeyRing([security.verifying_key]).to_json())
        return self._secrets()

    def _secrets(self) -> dict[str, str]:
        path = self.root / "secrets" / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        wanted = [*required_variables(), *(service.password_variable for service in SERVICES)]
        missing = [name for name in wanted if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            _write(path, json.dumps(known, indent=1))
        return known

    def hold(self) -> Holder:
        """Take this home for this process. Raises AlreadyRunning with the pid that holds it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Holder(self.root / "plaza.pid")


class Holder:
    """A lock that ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(
                f"Plaza already runs on {path.parent}, as process {pid}",
                remedy="stop that process, or set PLAZA_HOME to another folder",
                facts={"pid": pid},
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let others take the home."""
        self._file.close()


def socket_folder(home: Home) -> Path:
    """A folder for Unix sockets, 0700: below the home, or a temporary one where that path is too long."""
    folder = home.root / "run" / "sockets"
    if len(str(folder).encode()) > LONGEST_SOCKET_PATH - 24:
        return Path(tempfile.mkdtemp(prefix="plaza-"))
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def write_status(home: Home, status: dict[str, Any]) -> None:
    """Replace the status at once, so that a reader never sees half of it."""
    _write(home.status_file, json.dumps(status, indent=1))


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
