"""Other products at the quality bench's job: the same rules over the same rows, in one run with Plaza and the floor.

A product that needs minutes for five million rows judges fewer; what is compared are rows a second. Where two products
disagree about a rule, it is said.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import quality
from bench.quality import Result, Table
from bench.quality_table import RULES

PYTHON = quality.ROOT / ".venv-peers" / "bin" / "python"
ROUNDS = 3
FEW = 500_000


@dataclass(frozen=True)
class Judge:
    """One row of the table."""

    name: str
    module: str
    python: Path
    lacks: str
    rows: int = quality.MANY


JUDGES = (
    Judge("floor (DuckDB)", "bench.quality_floor", Path(sys.executable), "judges nothing"),
    Judge("Plaza", "bench.quality_plaza", Path(sys.executable), "-"),
    Judge("Polars, by hand", "bench.peers.quality_polars", PYTHON, "no masks, no evidence, no check digit"),
    Judge("Pointblank", "bench.peers.quality_pointblank", PYTHON, "no verdict for a row, no check digit"),
    Judge("Great Expectations", "bench.peers.quality_gx", PYTHON,
          "no verdict for a row, no expression, no check digit", FEW),
)  # fmt: skip


def measure(rows: int = quality.MANY, rounds: int = ROUNDS) -> None:
    """Print the table."""
    with quality.lake_of_its_own() as (lake, folder):
        sizes = {min(one.rows, rows) for one in JUDGES}
        tables = {size: quality.table(lake, folder, f"rows-{size}", size) for size in sizes}
        seen: dict[Judge, list[Result]] = {one: [] for one in JUDGES}
        for number in range(rounds):
            for one in (*JUDGES[number % len(JUDGES) :], *JUDGES[: number % len(JUDGES)]):
                table = tables[min(one.rows, rows)]
                ours = lake if one.name == "Plaza" else None
                seen[one].append(
                    quality.result(str(one.python), one.module, quality.job(table, ours, repeat=1))
                )
        print(f"{rounds} rounds, one process each; the clock starts after imports. {len(RULES)} rules.")
        _print(seen, tables, rows)


def _print(seen: dict[Judge, list[Result]], tables: dict[int, Table], rows: int) -> None:
    speeds = {
        one: median(tables[min(one.rows, rows)].rows / result.seconds for result in results)
        for one, results in seen.items()
    }
    plaza = speeds[JUDGES[1]]
    print(
        f"{'product':<28}{'rows':>11}{'rows/s':>12}{'Plaza is':>10}{'CPU s':>8}{'peak MiB':>10}   what it lacks"
    )
    for one, results in seen.items():
        print(
            f"{one.name + ' ' + results[0].version:<28}{tables[min(one.rows, rows)].rows:>11,}{speeds[one]:>12,.0f}"
            f"{plaza / speeds[one]:>9.1f}×{median(result.cpu for result in results):>8.1f}"
            f"{max(result.peak_mib for result in results):>10.0f}   {one.lacks}"
        )
    ours = seen[JUDGES[1]][0]
    for one in JUDGES[2:]:
        theirs = seen[one][0]
        same = tables[min(one.rows, rows)].rows == tables[min(JUDGES[1].rows, rows)].rows
        other = [name for name, count in theirs.failed.items() if same and count != ours.failed[name]]
        if other:
            print(f"{one.name} counts otherwise: {', '.join(other)}")
