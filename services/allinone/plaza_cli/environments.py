"""What each process of the one-machine mode is told by its environment: all that it needs, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plaza_issuer.realm import required_variables, secret_variable

from plaza_cli.home import LAKE_OWNER, LAKE_READERS, SERVICES, Home, Service

WORKER_MODULE = "plaza_ingestion.worker"
WORKER_IDLE_SECONDS = 60
_HARMLESS = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
)
_HARMLESS_PREFIXES = ("LC_", "PYTHON")
_PASSED_ON = ("PLAZA_LOG_LEVEL", "PLAZA_OTLP_ENDPOINT", "PLAZA_RATE_LIMITS")


@dataclass(frozen=True, slots=True)
class Suite:
    """One start of the suite: where it is, what it knows, what a test puts in."""

    home: Home
    sockets: Path
    port: int
    issuer_port: int
    secrets: Mapping[str, str] = field(repr=False)
    modules: Mapping[str, str] = field(default_factory=dict)
    """By process: a module to start in place of its own. For tests."""
    extra: dict[str, str] = field(default_factory=dict)
    """Variables that every process gets on top. For tests."""
    outside: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """The environment of `plaza up` itself."""

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """Of the development issuer's realm."""
        return f"http://127.0.0.1:{self.issuer_port}/realms/plaza"

    def module(self, process: str, own: str) -> str:
        """What to start as a process."""
        return self.modules.get(process, own)

    def address(self, service: str) -> str:
        """gRPC address of a service, by name."""
        return f"unix:{self.sockets / service}.sock"


def issuer(suite: Suite) -> dict[str, str]:
    """Of the development issuer: all secrets of the realm, nothing else."""
    realm = {name: suite.secrets[name] for name in required_variables()}
    own = {"PLAZA_HOME": str(suite.home.root), "PLAZA_ISSUER_PORT": str(suite.issuer_port)}
    return _base(suite) | realm | own | suite.extra


def service(suite: Suite, which: Service, database_url: str) -> dict[str, str]:
    """Of one service: its own database role and its own client."""
    own = {
        "PLAZA_LISTEN": suite.address(which.name),
        "PLAZA_DATABASE_URL": database_url,
        "PLAZA_CLIENT_ID": which.client,
        "PLAZA_CLIENT_SECRET": suite.secrets[secret_variable(which.client)],
    }
    if which.schema in (LAKE_OWNER, *LAKE_READERS):
        own["PLAZA_LAKE_WAREHOUSE"] = str(suite.home.lake)
    match which.name:
        case "security":
            own["PLAZA_SIGNING_KEY_FILE"] = str(suite.home.security_key)
            own["PLAZA_LEDGER_KEY_FILE"] = str(suite.home.ledger_key)
        case "ingestion":
            own["PLAZA_STAGING"] = str(suite.home.staging)
        case "open-data":
            own["PLAZA_RELEASE_STORE"] = str(suite.home.releases)
    return _common(suite) | own | suite.extra


_CITY = {
    "PLAZA_CITY": "云汀市",
    "PLAZA_CITY_EN": "Yunting",
    "PLAZA_PORTAL_OWNER": "云汀市数据局",
    "PLAZA_PORTAL_OWNER_EN": "Yunting Data Bureau",
}


def gateway(suite: Suite) -> dict[str, str]:
    """Of the gateway: where the others are, and what the portal says about its city (the demo city's, unless
    the caller's environment says it)."""
    city = {name: suite.outside.get(name, known) for name, known in _CITY.items()}
    own = {"PLAZA_PORT": str(suite.port), "PLAZA_CONSOLE_KEY_FILE": str(suite.home.console_key)}
    return _common(suite) | city | own | suite.extra


def worker(suite: Suite, department: str) -> dict[str, str] | None:
    """Of a department's worker: ingestion's address and its own client; None when the realm has no such client.

    Of the caller's own environment it gets only what Python needs: whatever credentials lie in it are not
    the department's.
    """
    client = f"{department}-worker"
    if secret_variable(client) not in required_variables():
        return None
    harmless = {
        name: value
        for name, value in suite.outside.items()
        if name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)
    }
    own = {
        "PLAZA_INGESTION_ADDRESS": suite.address("ingestion"),
        "PLAZA_ISSUER": suite.issuer,
        "PLAZA_CLIENT_ID": client,
        "PLAZA_CLIENT_SECRET": suite.secrets[secret_variable(client)],
        "PLAZA_DEPARTMENT": department,
        "PLAZA_STAGING_PREFIX": str(suite.home.staging / "departments" / department),
        "PLAZA_SECRETS_DIR": str(suite.home.department_secrets(department)),
        "PLAZA_IDLE_SECONDS": str(WORKER_IDLE_SECONDS),
    }
    return harmless | _passed_on(suite) | own | suite.extra


def _base(suite: Suite) -> dict[str, str]:
    # Nothing of the caller's PLAZA_… settings reaches a child by accident; everything it needs is said here.
    return {name: value for name, value in suite.outside.items() if not name.startswith("PLAZA_")}


def _common(suite: Suite) -> dict[str, str]:
    addresses = {one.address_variable: suite.address(one.name) for one in SERVICES}
    trust = {"PLAZA_ISSUER": suite.issuer, "PLAZA_TRUST_FILE": str(suite.home.trust_file)}
    return _base(suite) | _passed_on(suite) | addresses | trust


def _passed_on(suite: Suite) -> dict[str, str]:
    return {name: suite.outside[name] for name in _PASSED_ON if suite.outside.get(name)}
