"""The worker as a process: what it needs to start, how it ends, what it does not load."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

COMMAND = (sys.executable, "-m", "plaza_ingestion.worker")


def test_missing_settings_are_all_named() -> None:
    ended = subprocess.run(COMMAND, env={"PLAZA_DEPARTMENT": "ecology"}, capture_output=True, text=True)
    assert ended.returncode == 1
    for name in ("INGESTION_ADDRESS", "ISSUER", "CLIENT_ID", "CLIENT_SECRET", "STAGING_PREFIX"):
        assert f"set PLAZA_{name}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_issuer_and_ingestion_it_waits_and_ends_in_order(tmp_path: Path) -> None:
    environment = {
        "PLAZA_DEPARTMENT": "ecology",
        "PLAZA_INGESTION_ADDRESS": f"unix:{tmp_path / 'none.sock'}",
        "PLAZA_ISSUER": "http://127.0.0.1:1/realms/plaza",
        "PLAZA_CLIENT_ID": "ecology-worker",
        "PLAZA_CLIENT_SECRET": "secret",
        "PLAZA_STAGING_PREFIX": str(tmp_path),
    }
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(COMMAND, env=environment, stderr=file)
    deadline = time.monotonic() + 20
    while "no work could be leased" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "Traceback" not in log.read_text()


def test_no_database_and_no_lake_are_loaded() -> None:
    look = (
        "import sys, plaza_ingestion.worker.process\n"
        "print(sorted({'sqlalchemy', 'psycopg', 'pyiceberg', 'plaza_lake', 'plaza_kit.db'} & set(sys.modules)))"
    )
    answer = subprocess.run((sys.executable, "-c", look), capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
