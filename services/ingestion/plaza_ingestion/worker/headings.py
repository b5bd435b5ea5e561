"""What a heading says: a name for the field, and the part that its column may play."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

from plaza_ingestion.worker.plan import RESERVED_NAMES

_LONGEST_NAME: Final = 60
"""Leaves room for a number behind a name that is there already; PostgreSQL's limit is 63 bytes."""


class Role(Enum):
    """What a column is by its heading; a guess, used for proposals only."""

    COUNTER = "counter"
    """Counts the lines of this file, and says nothing about the thing described."""
    IDENTIFIER = "identifier"
    PLACE = "place"
    """Who or where: a station, a device, a district."""
    TIME = "time"
    OTHER = "other"


TIME_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
"""Coarsest first."""

_PART_OF_HEADING: Final = {
    **{part: part for part in TIME_PARTS},
    **{"yr": "year", "mon": "month", "hr": "hour", "min": "minute", "sec": "second"},
    **{"年": "year", "年份": "year", "月": "month", "月份": "month", "日": "day", "天": "day"},
    **{"时": "hour", "小时": "hour", "分": "minute", "分钟": "minute", "秒": "second"},
}
_COUNTERS: Final = frozenset(
    (
        *("no", "nr", "n", "index", "idx", "row", "row_no", "row_num", "row_number", "rownum"),
        *("seq", "sequence", "line", "line_no", "序号", "行号", "序列号"),
    )
)
_PLACES: Final = re.compile(
    r"(^|_)(station|site|stop|sensor|device|meter|monitor|location|district|city|county|region|street|route)"
    r"(_|$)|站|点位|监测点|设备|地点|区县|街道|线路"
)
_IDENTIFIERS: Final = re.compile(
    r"(^|_)(id|code|uuid|guid|identifier|key|number|no)$|(编号|编码|代码|号码|证号|标识|码)$"
)
_TIMES: Final = re.compile(r"(^|_)(date|time|datetime|timestamp)(_|$)|日期|时间|时刻")


def field_names(headings: Sequence[str]) -> list[str]:
    """One name for each heading, all different, matching `[a-z][a-z0-9_]*`.

    `PM2.5` becomes `pm2_5`, `stationName` `station_name`. A heading with letters outside of ASCII is not
    transliterated: its field is named after the column's place, `field_3`, and keeps its heading as title.
    """
    names: list[str] = []
    taken = set(RESERVED_NAMES)
    for place, heading in enumerate(headings, start=1):
        name = plain = _plain_name(heading) or f"field_{place}"
        number = 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def _plain_name(heading: str) -> str:
    if any(letter.isalpha() and not letter.isascii() for letter in heading):
        return ""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", heading)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:_LONGEST_NAME].rstrip("_")
    return f"n_{name}" if name[:1].isdigit() else name


def time_part(heading: str) -> str | None:
    """`year`, `month`, … when the heading is the word for it, in English or Chinese."""
    return _PART_OF_HEADING.get(heading.strip().lower())


def role_of(heading: str) -> Role:
    """The part that a column with this heading may play in a key."""
    word = _plain_name(heading) or heading.strip()
    if word in _COUNTERS:
        return Role.COUNTER
    if time_part(heading) or _TIMES.search(word):
        return Role.TIME
    if _IDENTIFIERS.search(word):
        return Role.IDENTIFIER
    return Role.PLACE if _PLACES.search(word) else Role.OTHER
