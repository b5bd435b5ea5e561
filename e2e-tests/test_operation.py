"""The platform team's story: one command starts it, nothing is left behind, what dies comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from story import PLAZA, Suite

pytestmark = pytest.mark.e2e

CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "content_type_conformance",
    "status_code_conformance",
)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_a_second_start_on_the_same_home_is_refused_with_the_pid(suite: Suite) -> None:
    assert suite.process is not None
    done = subprocess.run(
        [PLAZA, "up"], env=suite.environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    assert str(suite.process.pid) in done.stderr


def test_a_service_that_dies_is_started_again_and_status_tells(suite: Suite) -> None:
    before = {child["name"]: child for child in suite.plaza("status")["processes"]}
    os.kill(before["catalogue"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        now = {child["name"]: child for child in suite.plaza("status")["processes"]}
        ready = suite.get("/../../readyz").json()["services"]["catalogue"] == "serving"
        if now["catalogue"]["restarts"] == before["catalogue"]["restarts"] + 1 and ready:
            break
        time.sleep(0.3)
    assert now["catalogue"]["pid"] not in (0, before["catalogue"]["pid"])
    assert now["catalogue"]["state"] == "running"
    assert suite.get("/departments", "ecology-reader").status_code == 200


def test_ctrl_c_leaves_nothing_and_the_data_survive(new_suite: Suite) -> None:
    new_suite.start()
    children = [child["pid"] for child in new_suite.plaza("status")["processes"]]
    count = len(new_suite.get("/departments/-/datasets", "ecology-reader").json()["datasets"])
    assert count == 12
    assert new_suite.stop() == 0
    assert not [pid for pid in children if alive(pid)]
    assert new_suite.plaza("status", ok=False).returncode == 4
    new_suite.start()
    assert len(new_suite.get("/departments/-/datasets", "ecology-reader").json()["datasets"]) == count
    assert new_suite.stop() == 0


def test_the_served_description_is_true(suite: Suite, tmp_path: Path) -> None:
    """schemathesis: no 5xx, no answer that the description does not allow. Bounded in examples."""
    _schemathesis(suite, tmp_path, phases="examples,fuzzing", examples=10)


@pytest.mark.endurance
def test_the_served_description_is_true_at_every_bound(suite: Suite, tmp_path: Path) -> None:
    """The same with every boundary of every constraint, inside and outside of it."""
    _schemathesis(suite, tmp_path, phases="examples,coverage,fuzzing", examples=30)


def _schemathesis(suite: Suite, folder: Path, *, phases: str, examples: int) -> None:
    config = folder / "schemathesis.toml"
    config.write_text("[generation]\nallow-x00 = false\n")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run",
            f"{suite.api}/openapi.json", "--header", f"Authorization: Bearer {suite.token('ecology-officer')}",
            "--max-examples", str(examples), "--phases", phases, "--seed", "20261121",
            "--checks", ",".join(CHECKS),
            "--request-timeout", "20", "--no-color",
        ],
        capture_output=True, text=True, timeout=900, check=False, cwd=folder,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    failures = done.stdout.partition(" FAILURES ")[2].partition(" WARNINGS ")[0]
    assert done.returncode == 0, failures[:6000] + done.stderr[-1000:]
