"""Migrations by a job: who waits, for what, and what a rollback finds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plaza_kit.db import migrate as migrations
from plaza_kit.db.migrate import SchemaState, ServerTooOld, migrate, schema_state, until_schema_serves
from plaza_testing.postgres import Postgres

pytestmark = pytest.mark.integration

FIRST = """
from alembic import op
from plaza_kit.db.jobs import create_tables
from plaza_kit.db.schema import OUTBOX, create
revision = "0001"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE things (name text)")
    create(op, OUTBOX)
    create_tables(op.get_bind())
"""
SECOND = """
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.execute("ALTER TABLE things ADD COLUMN size integer")
"""
SERVICE = """
from plaza_kit.service import Parts, ServiceSpec, main
from plaza_kit.settings import ServiceSettings

async def build(settings, runtime):
    return Parts([], [])

main(ServiceSpec("things", "things", "things"), ServiceSettings, build)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's package `things` with one migration, on the path; answers the folder of its versions."""
    versions = tmp_path / "things" / "storage" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "things" / "__init__.py").touch()
    (tmp_path / "things" / "__main__.py").write_text(SERVICE)
    (versions / "0001_things.py").write_text(FIRST)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "things", raising=False)
    return versions


def test_a_schema_that_is_newer_serves_the_older_code(package: Path, postgres: Postgres) -> None:
    url = postgres.role("things")
    assert schema_state(url, "things", "things") == SchemaState("", "0001")
    second = package / "0002_size.py"
    second.write_text(SECOND)
    migrate(url, "things", "things")
    second.unlink()
    state = schema_state(url, "things", "things")
    assert state == SchemaState("0002", "0001")
    assert state.serves
    # As after a rollback: the older code leaves it as it is.
    migrate(url, "things", "things")
    assert schema_state(url, "things", "things") == state


def test_an_old_server_is_refused_before_anything_is_made(
    package: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.role("things")
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 99)
    with pytest.raises(ServerTooOld, match="99 is the oldest"):
        migrate(url, "things", "things")
    assert not schema_state(url, "things", "things").serves


async def test_waiting_outlives_a_database_that_is_away(
    package: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "POLL_SECONDS", 0.01)
    url = postgres.role("things")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("ALTER ROLE things NOLOGIN")
        waiting = asyncio.create_task(until_schema_serves(url, "things", "things"))
        await asyncio.sleep(0.1)
        admin.execute("ALTER ROLE things LOGIN")
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await asyncio.to_thread(migrate, url, "things", "things")
    assert (await waiting).serves


def test_a_service_waits_for_the_job_and_says_so(package: Path, postgres: Postgres, tmp_path: Path) -> None:
    """Live from the first moment, ready only with its schema; told to stop, it stops, waiting or not."""
    url = postgres.role("things")
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLAZA_")},
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PLAZA_LISTEN": f"unix:{tmp_path}/s",
        "PLAZA_DATABASE_URL": url,
        "PLAZA_ISSUER": "http://127.0.0.1:1/realms/plaza",
        "PLAZA_CLIENT_ID": "plaza-things",
        "PLAZA_CLIENT_SECRET": "x",
        "PLAZA_TRUST_FILE": str(_trust(tmp_path)),
        "PLAZA_SECURITY_ADDRESS": f"unix:{tmp_path}/none",
        "PLAZA_MIGRATE": "job",
        "PLAZA_HEALTH_LISTEN": f"127.0.0.1:{port}",
    }
    with _started(environment, tmp_path / "log") as waiting:
        assert _becomes(port, "live")
        assert not _serves(port, "")
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(15) == 0
    with _started(environment, tmp_path / "log") as process:
        assert _becomes(port, "live")
        job = {"PLAZA_DATABASE_URL": url, "PYTHONPATH": environment["PYTHONPATH"], "PATH": os.environ["PATH"]}
        subprocess.run([sys.executable, "-m", "things", "migrate"], env=job, check=True, timeout=60)
        assert _becomes(port, "")
        process.send_signal(signal.SIGTERM)
        # Ten seconds for calls and twice six for its tasks are what a service may take, on a machine that is its own.
        assert process.wait(60) == 0
    log = (tmp_path / "log").read_text()
    assert "waiting for the job that migrates the schema: python -m things migrate" in log
    assert '"needed": "0001"' in log


def _trust(folder: Path) -> Path:
    from plaza_kit.signing import KeyRing, SigningKey

    path = folder / "trust.json"
    path.write_text(KeyRing([SigningKey.generate("security.test").verifying_key]).to_json())
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _started(environment, log):  # type: ignore[no-untyped-def]
    with log.open("ab") as file:
        process = subprocess.Popen([sys.executable, "-m", "things"], env=environment, stderr=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _serves(port: int, service: str) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def _becomes(port: int, service: str) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if _serves(port, service):
            return True
        time.sleep(0.1)
    return False
