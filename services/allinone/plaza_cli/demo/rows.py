"""Small files for the demo city's datasets: invented, the same each time, with a gap here and there."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from plaza_cli.demo.city import DemoDataset

ROWS = 240
GAP = 0.03
"""Share of the values that are missing where a value is not required."""

_PLACES = ("东湖", "西岭", "南门", "北苑", "金沙", "白云", "青石", "望江", "柳林", "龙泉", "梧桐", "新港")
_KINDS = ("中心", "服务站", "市场", "广场")
_FIRST = datetime(2026, 9, 1, tzinfo=UTC)

Value = Callable[[random.Random, int], str]


def csv_file(dataset: DemoDataset) -> bytes:
    """The dataset's file: UTF-8 with the fields' Chinese titles as headings."""
    chance = random.Random(f"{dataset.department}/{dataset.id}")  # noqa: S311  (the same file each time)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([title for _, title, _, _, _ in dataset.fields])
    for number in range(ROWS):
        writer.writerow(
            [
                "" if not required and chance.random() < GAP else _value(name, kind)(chance, number)
                for name, _, kind, _, required in dataset.fields
            ]
        )
    return text.getvalue().encode()


def _value(name: str, kind: str) -> Value:
    return _BY_NAME.get(name) or _BY_TYPE[kind]


def _place(number: int) -> str:
    return _PLACES[number % len(_PLACES)]


def _day(chance: random.Random, number: int) -> str:
    return str(date(2026, 9, 1) + timedelta(days=number // len(_PLACES)))


def _later(number: int, days: int) -> str:
    return str(date(2026, 9, 1) + timedelta(days=number // len(_PLACES) + days))


_BY_NAME: dict[str, Value] = {
    "id": lambda _, number: f"{number + 1:05}",
    "station": lambda _, number: _place(number),
    "name": lambda chance, number: f"{_place(number)}{chance.choice(_KINDS)}",
    "address": lambda chance, number: f"{_place(number)}路 {chance.randint(1, 399)} 号",
    "phone": lambda chance, _: f"000-{chance.randint(10_000_000, 99_999_999)}",
    "longitude": lambda chance, _: f"{chance.uniform(113.8, 114.6):.5f}",
    "latitude": lambda chance, _: f"{chance.uniform(22.4, 22.9):.5f}",
    "time": lambda _, number: (_FIRST + timedelta(hours=number // len(_PLACES))).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ),
    "ph": lambda chance, _: f"{chance.uniform(6.4, 8.6):.2f}",
    "cod": lambda chance, _: f"{chance.uniform(4, 38):.1f}",
    "leq": lambda chance, _: f"{chance.uniform(42, 71):.1f}",
    "day": _day,
    "begins": _day,
    "ends": lambda chance, number: _later(number, chance.randint(3, 40)),
}
_BY_TYPE: dict[str, Value] = {
    "STRING": lambda _, number: _place(number),
    "INTEGER": lambda chance, _: str(chance.randint(800, 42_000)),
    "NUMBER": lambda chance, _: f"{chance.uniform(30, 99):.1f}",
    "BOOLEAN": lambda chance, _: chance.choice(("true", "true", "true", "false")),
    "DATE": lambda chance, _: str(date(2026, 6, 1) + timedelta(days=chance.randint(0, 170))),
    "TIMESTAMP": lambda chance, _: (_FIRST + timedelta(minutes=chance.randint(0, 90_000))).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ),
}
