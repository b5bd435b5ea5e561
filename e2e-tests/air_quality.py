"""Files as the ecology bureau's stations write them: hourly air quality, with gaps, and with broken lines."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "beijing-air-quality"
"""The real files (Beijing Multi-Site Air-Quality, UCI 501, CC BY 4.0), where they are there."""

HEADING = (
    '"No","year","month","day","hour","PM2.5","PM10","SO2","NO2","CO","O3","TEMP","PRES","DEWP","RAIN","wd",'
    '"WSPM","station"'
)
KEY = ("station", "year", "month", "day", "hour")


def station_file(folder: Path, station: str, hours: int, *, seed: int = 1, first: int = 0) -> Path:
    """A generated file in the form of the real ones: CRLF, quoted texts, `NA` where an instrument was silent."""
    chance = random.Random(f"{station}{seed}")
    lines = [HEADING]
    for number in range(first, first + hours):
        time = datetime(2013, 3, 1, tzinfo=UTC) + timedelta(hours=number)  # only its digits are written
        measured = [_measured(chance, top) for top in (300, 400, 90, 120, 3000, 250)]
        weather = (
            f"{chance.uniform(-5, 30):.1f},{chance.uniform(990, 1030):.1f},{chance.uniform(-20, 20):.1f},0"
        )
        lines.append(
            f"{number + 1},{time.year},{time.month},{time.day},{time.hour},{','.join(measured)},{weather},"
            f'"{chance.choice(("N", "NNW", "SE"))}",{chance.uniform(0, 9):.1f},"{station}"'
        )
    path = folder / f"{station}-{first}-{seed}.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


def _measured(chance: random.Random, top: int) -> str:
    return "NA" if chance.random() < 0.04 else str(chance.randint(1, top))


@dataclass(frozen=True)
class Broken:
    """What a broken line is refused for."""

    line: int
    field: str
    reason: str
    original: bytes


def break_lines(source: Path, target: Path) -> list[Broken]:
    """A copy with 20 broken lines: cells missing, a bad number, month 13, invalid UTF-8, a key twice; four each."""
    lines = source.read_bytes().split(b"\r\n")
    step = (len(lines) - 60) // 4
    broken: list[Broken] = []
    for at in range(40, 40 + 4 * step, step):
        good = lines[at].split(b",")
        changes: list[tuple[list[bytes], str, str]] = [
            (good[:-2], "", "ragged"),
            ([*good[:5], b"1000x", *good[6:]], "pm2_5", "type"),
            ([*good[:2], b"13", *good[3:]], "month", "step"),
            ([*good[:-1], b'"Dong\xb1\xb1si"'], "station", "encoding"),
            (lines[at - 20].split(b","), "", "duplicate_key"),
        ]
        for i, (cells, field, reason) in enumerate(changes):
            lines[at + i] = b",".join(cells)
            broken.append(Broken(at + i + 1, field, reason, lines[at + i]))
    target.write_bytes(b"\r\n".join(lines))
    return broken


def with_rules(contract: str) -> str:
    """The proposed contract with what a person adds: units, a blank that means missing, and three quality rules."""
    document = yaml.safe_load(contract)
    (table,) = document["schema"]
    for item in table["properties"]:
        if item["name"] == "pm2_5":
            item["quality"] = [_null_share("pm2_5", 10), _range("pm2_5", 0, 1000, 99)]
            _custom(item, "unit", "μg/m³")
    table["quality"] = [
        {
            "id": "hour-once",
            "dimension": "uniqueness",
            "type": "library",
            "metric": "duplicateValues",
            "arguments": {"properties": ["station", "time"]},
            "mustBeLessOrEqualTo": 0,
            "unit": "percent",
        }
    ]
    _custom(table, "missingValues", ["NA", " "])
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


def _custom(item: dict[str, Any], name: str, value: object) -> None:
    kept = [entry for entry in item.get("customProperties", []) if entry["property"] != name]
    item["customProperties"] = [*kept, {"property": name, "value": value}]


def _null_share(field: str, percent: int) -> dict[str, Any]:
    return {
        "id": f"{field}-null-share",
        "dimension": "completeness",
        "type": "library",
        "metric": "nullValues",
        "mustBeLessOrEqualTo": percent,
        "unit": "percent",
    }


def _range(field: str, minimum: int, maximum: int, percent: int) -> dict[str, Any]:
    return {
        "id": f"{field}-range",
        "dimension": "accuracy",
        "type": "custom",
        "engine": "plaza",
        "implementation": {
            "check": "range",
            "minimum": minimum,
            "maximum": maximum,
            "thresholdPercent": percent,
        },
    }
