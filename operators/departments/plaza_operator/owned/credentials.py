"""The department's secrets: made once, then the only source of every password outside Kubernetes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from plaza_operator.domain.children import SECRET, Child, child
from plaza_operator.domain.errors import StorageKeysMissing
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department

WORKER = "worker"
STORAGE = "storage"
DATABASE = "exchange-database"
SOURCES = "sources"
NAMES = (WORKER, STORAGE, DATABASE, SOURCES)
Live = Mapping[str, Any] | None
_RANDOM_BYTES = 32


def random_secret() -> str:
    """256 bits, without characters that an address or a shell would read."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the department's worker proves itself with. `repr` shows nothing of it."""

    client_secret: str
    database_password: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """Changes with any of them; tells nothing about them (all are random)."""
        whole = "\0".join((self.client_secret, self.database_password, self.access_key, self.secret_key))
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def read(
    live: Mapping[str, Live],
    department: Department,
    *,
    own_keys: bool,
    fresh: Callable[[], str] = random_secret,
) -> Credentials:
    """What the Secrets hold, filled up with new random values where they hold nothing.

    `own_keys`: the storage's keys are made here; otherwise an administrator brings them. Raises StorageKeysMissing.
    """
    access_key, secret_key = _value(live, STORAGE, "access-key"), _value(live, STORAGE, "secret-key")
    if not own_keys and not (access_key and secret_key):
        raise StorageKeysMissing(
            f"the Secret {department.namespace}/{STORAGE} must hold access-key and secret-key of the bucket; "
            "create it, for this platform does not make storage keys itself"
        )
    return Credentials(
        client_secret=_value(live, WORKER, "client-secret") or fresh(),
        database_password=_value(live, DATABASE, "password") or fresh(),
        access_key=department.namespace if own_keys else access_key,
        secret_key=secret_key or fresh(),
    )


def desired(department: Department, platform: Platform, have: Credentials) -> tuple[Child, ...]:
    """The Secrets as they must be. Of `sources` only that it exists: what is in it is the department's own."""
    role = department.database_role
    host, port, database = platform.database_host, platform.database_port, platform.database_name
    url = f"postgresql://{role}:{quote(have.database_password)}@{host}:{port}/{database}"
    contents: dict[str, dict[str, str]] = {
        WORKER: {"client-id": department.client_id, "client-secret": have.client_secret},
        STORAGE: {
            "access-key": have.access_key,
            "secret-key": have.secret_key,
            "bucket": platform.bucket(department),
            "endpoint": platform.s3_endpoint,
            "region": platform.s3_region,
        },
        DATABASE: {
            "database-url": url,
            "host": host,
            "port": str(port),
            "database": database,
            "schema": role,
            "username": role,
            "password": have.database_password,
        },
    }
    made = [
        child(
            SECRET, department, name, {"type": "Opaque", "data": {k: _encoded(v) for k, v in content.items()}}
        )
        for name, content in contents.items()
    ]
    return (*made, child(SECRET, department, SOURCES, {"type": "Opaque"}))


def as_wanted(live: Live, wanted: Child) -> bool:
    """Does a Secret hold all that it must? Saves the write, which would carry the values over the wire again."""
    if live is None:
        return False
    marks = wanted.body["metadata"]["labels"].items()
    found = live["metadata"].get("labels") or {}
    data = live.get("data") or {}
    same = all(data.get(name) == value for name, value in wanted.body.get("data", {}).items())
    return same and all(found.get(name) == value for name, value in marks)


def _value(live: Mapping[str, Live], name: str, key: str) -> str:
    secret = live.get(name)
    try:
        return base64.b64decode(((secret or {}).get("data") or {}).get(key, ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
