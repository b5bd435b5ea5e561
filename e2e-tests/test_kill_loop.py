"""The operator's worst day: every process is killed, at every step of a load. Nothing is lost, nothing is there twice.

`make test` lets each process die at least once; `make endurance` more than sixty times, over all formats and modes,
and while a source is pulled.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import air_quality
import faults
import file_formats
import pytest
from mortal_client import PatientClient, until
from plaza_testing.postgres import embedded_programs, installed
from source_database import SourceDatabase
from story import Suite, free_port

pytestmark = pytest.mark.e2e

SEED = 20261121
WORKER = ("leased", "staged", "acknowledged")
INGESTION = ("manifest_taken", "data_files", "catalogue_commit", "outbox")
POINTS = (*WORKER, *INGESTION)
OTHERS = ("gateway", "security", "postgres", "catalogue", "quality")
PULL = ("fetched", "brought", "moved", "adopted")
PULLS = 5
MODES = ("append", "upsert", "replace", "append")
HOURS = 300


@dataclass
class Load:
    """One file for one dataset, and who dies on the way: point → victim."""

    kind: str
    mode: str
    file: Path
    deaths: dict[str, str] = field(default_factory=dict)
    during_upload: str = ""
    """Who dies while the file is on its way."""


@pytest.fixture(scope="module")
def fault_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="plaza-faults-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def mortal(fault_folder: Path) -> Iterator[Suite]:
    """A suite whose worker and ingestion die, or have others die, where they are told to."""
    with tempfile.TemporaryDirectory(prefix="plaza-e2e-") as folder:
        command = (sys.executable, str(Path(__file__).parent / "mortal_suite.py"), str(fault_folder))
        suite = Suite(Path(folder) / "home", free_port(), free_port(), command=command)
        suite.start()
        yield suite
        suite.stop()


@pytest.fixture
def source() -> Iterator[SourceDatabase]:
    with tempfile.TemporaryDirectory(prefix="plaza-source-") as folder:
        port = free_port()
        with installed(embedded_programs(), Path(folder), port=port) as address:
            yield SourceDatabase(address, port)


def test_every_process_dies_once_at_least_and_nothing_changes(
    mortal: Suite, fault_folder: Path, tmp_path: Path
) -> None:
    loads = plan(tmp_path, ("csv",), deaths_a_load=3)
    assert _dies_and_lives(mortal, fault_folder, loads) >= len(POINTS) + len(OTHERS)


@pytest.mark.endurance
def test_fifty_deaths_over_all_formats_and_modes_change_nothing(
    mortal: Suite, fault_folder: Path, tmp_path: Path
) -> None:
    loads = plan(tmp_path, file_formats.KINDS, deaths_a_load=2)
    assert _dies_and_lives(mortal, fault_folder, loads) >= 60


@pytest.mark.endurance
def test_a_source_is_pulled_whole_whoever_dies(
    mortal: Suite, fault_folder: Path, source: SourceDatabase
) -> None:
    """A table grows, with rows that come late; each pull is killed on its way."""
    client, chance = PatientClient(mortal), random.Random(SEED)
    names = {}
    for life in ("spared", "killed"):
        client.register(f"{life}-pull", "csv")
        names[life] = client.add_source(f"{life}-pull", source.connector)
    faults.forget(fault_folder)
    foreign = [*OTHERS, *OTHERS]
    chance.shuffle(foreign)
    own = [*PULL, *POINTS]
    for number in range(PULLS):
        source.grow(number)
        client.pull(names["spared"])
        # Every point once with the process itself, and each of the others twice.
        for point in own[number::PULLS]:
            faults.arm(fault_folder, point)
        free = [point for point in own if not (fault_folder / point).exists()]
        for point in chance.sample(free, 2):
            faults.arm(fault_folder, point, foreign.pop())
        client.pull(names["killed"])
        until(lambda: not faults.still_armed(fault_folder), "every armed point is reached")
    fired = faults.fired(fault_folder)
    assert len(fired) == len(own) + 2 * PULLS
    assert {point for point, victim in fired if victim == faults.ITSELF} == set(own)
    for dataset in ("spared-pull", "killed-pull"):
        until(lambda name=dataset: client.is_assessed(name, PULLS), f"{dataset} is assessed")  # type: ignore[misc]
        assert len(client.rows(dataset)) == 1 + source.rows()
    for look in (client.rows, client.quarantine, client.versions, client.ledger):
        assert look("killed-pull") == look("spared-pull"), look.__name__
    before = client.versions("killed-pull")
    run = client.pull(names["killed"])
    assert run["unchanged"], "nothing is new at the source"
    assert client.versions("killed-pull") == before


def plan(folder: Path, kinds: tuple[str, ...], *, deaths_a_load: int) -> list[Load]:
    """Four loads a format; each point with the process itself, and every other process, at least once."""
    chance = random.Random(SEED)
    loads = [
        Load(kind, mode, file)
        for kind in kinds
        for mode, file in zip(MODES, _files(folder, kind), strict=True)
    ]
    own = [(point, faults.ITSELF) for point in POINTS]
    foreign = [(chance.choice(POINTS), victim) for victim in OTHERS]
    wanted = own + foreign
    while len(wanted) < len(loads) * deaths_a_load:
        wanted.append((chance.choice(POINTS), chance.choice((faults.ITSELF, *OTHERS))))
    chance.shuffle(wanted)
    for point, victim in wanted:
        # A load passes each point once, so it can be armed with it once.
        free = [load for load in loads if point not in load.deaths]
        min(free, key=lambda load: len(load.deaths)).deaths[point] = victim
    for load, victim in zip(
        loads, (victim for _ in loads for victim in ("gateway", "ingestion")), strict=False
    ):
        load.during_upload = victim
    return loads


def _files(folder: Path, kind: str) -> list[Path]:
    """A first file (of CSV with 20 broken lines), one that overlaps it, one that takes its place, one to add."""
    home = folder / kind
    home.mkdir()
    first = air_quality.station_file(home, "Dongsi", HOURS)
    if kind == "csv":
        air_quality.break_lines(first, first)
    files = [
        first,
        air_quality.station_file(home, "Dongsi", HOURS, first=HOURS // 2, seed=2),
        air_quality.station_file(home, "Gucheng", HOURS),
        air_quality.station_file(home, "Huairou", HOURS),
    ]
    return [file_formats.rewrite(file, kind) for file in files]


def _dies_and_lives(suite: Suite, folder: Path, loads: list[Load]) -> int:
    """Carries all loads out twice, once without a death. How many processes died the other time."""
    client = PatientClient(suite)
    kinds = list(dict.fromkeys(load.kind for load in loads))
    round_name = f"n{len(kinds)}"  # both tests use one suite
    faults.forget(folder)
    for kind in kinds:
        for life in ("spared", "killed"):
            client.register(f"{life}-{kind}-{round_name}", file_formats.contract_type(kind))
    for load in loads:
        client.load(f"spared-{load.kind}-{round_name}", load.file, load.mode)
    deaths = 0
    for load in loads:
        for point, victim in load.deaths.items():
            faults.arm(folder, point, victim)
        died = []

        def during(victim: str = load.during_upload, died: list[bool] = died) -> None:
            died.append(faults.kill(suite.home / "run" / "status.json", victim))

        client.load(f"killed-{load.kind}-{round_name}", load.file, load.mode, during)
        until(lambda: not faults.still_armed(folder), "every armed point is reached")
        deaths += sum(died)
    fired = faults.fired(folder)
    assert {point for point, victim in fired if victim == faults.ITSELF} == set(POINTS)
    assert {victim for _, victim in fired} == {faults.ITSELF, *OTHERS}
    for kind in kinds:
        spared, killed = f"spared-{kind}-{round_name}", f"killed-{kind}-{round_name}"
        for dataset in (spared, killed):
            until(lambda name=dataset: client.is_assessed(name, len(MODES)), f"{dataset} is assessed")  # type: ignore[misc]
        for look in (client.rows, client.quarantine, client.versions, client.ledger):
            assert look(killed) == look(spared), (kind, look.__name__)
        # One registration; of each version one commit and one assessment.
        assert len(client.ledger(killed)) == 1 + 2 * len(MODES)
        assert len(client.rows(killed)) == 1 + 2 * HOURS
    return deaths + len(fired)
