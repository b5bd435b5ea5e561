"""Workers are started while work waits, started again when they die, and gone when they have ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from plaza_cli import processes, workers
from plaza_cli.processes import Child
from plaza_cli.workers import Workers
from plaza_kit.errors import Unavailable

pytestmark = pytest.mark.integration


class City:
    """What ingestion would answer, and the processes that are started for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: list[str] = []
        self.away = False
        self.workers = Workers(self.make)

    async def ask(self) -> list[str]:
        if self.away:
            raise Unavailable("away")
        return self.waiting

    def make(self, department: str) -> Child | None:
        if department == "water":
            return None
        log = self.folder / f"{department}.log"
        return Child(f"worker {department}", "fake_worker", {"PYTHONPATH": str(self.folder)}, log, ends=True)

    def program(self, text: str) -> None:
        (self.folder / "fake_worker.py").write_text(text)

    def states(self) -> dict[str, str]:
        return {one["name"]: one["state"] for one in self.workers.status()}

    def starts(self) -> int:
        made = self.folder / "starts"
        return len(made.read_text()) if made.exists() else 0


@pytest.fixture
async def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[City]:
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.05)
    made = City(tmp_path)
    task = asyncio.create_task(made.workers.run(made.ask))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(one["pid"] == 0 for one in made.workers.status())


STARTED = "import pathlib, sys, time; pathlib.Path(__file__).with_name('starts').open('a').write('x')\n"


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110 - tests poll
            await asyncio.sleep(0.02)


async def test_one_worker_runs_while_work_waits(city: City) -> None:
    city.program(STARTED + "time.sleep(60)")
    city.waiting = ["ecology", "market"]
    await until(lambda: city.starts() == 2)
    assert city.states() == {"worker ecology": "running", "worker market": "running"}
    city.waiting = []
    city.away = True
    await asyncio.sleep(0.3)
    assert city.starts() == 2
    assert set(city.states().values()) == {"running"}


async def test_a_worker_that_has_ended_is_gone_until_work_waits_again(city: City) -> None:
    city.program(STARTED)
    city.waiting = ["ecology"]
    await until(lambda: city.starts() == 1)
    city.waiting = []
    await until(lambda: not city.states())
    await asyncio.sleep(0.2)
    before = city.starts()
    city.waiting = ["ecology"]
    await until(lambda: city.starts() > before)


async def test_a_worker_that_dies_is_started_again_while_work_waits(city: City) -> None:
    city.program(STARTED + "sys.exit(3)")
    city.waiting = ["ecology"]
    await until(lambda: city.starts() >= 2)
    city.waiting = []
    await until(lambda: city.states() == {"worker ecology": "died, waits for work"})
    before = city.starts()
    await asyncio.sleep(0.3)
    assert city.starts() == before
    [status] = city.workers.status()
    assert status["restarts"] == before
    city.program(STARTED)
    city.waiting = ["ecology"]
    await until(lambda: city.starts() > before)
    city.waiting = []
    await until(lambda: not city.states())


async def test_a_department_without_a_client_is_reported_once(
    city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    city.waiting = ["water"]
    await until(city.states)
    await asyncio.sleep(0.3)
    assert "no client water-worker" in city.states()["worker water"]
    assert capsys.readouterr().err.count("water-worker") == 1


async def test_a_killed_worker_counts_as_dead(city: City) -> None:
    city.program(STARTED + f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    city.waiting = ["ecology"]
    await until(lambda: city.starts() >= 2)
