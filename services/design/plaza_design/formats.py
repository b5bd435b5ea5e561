"""Numbers, sizes, dates and times as pages write them (the design language's table).

Times come in aware and are shown in Asia/Shanghai; percentages and scores come in as 0–100. A missing value
is written by the page (`null`), never here. Minus is U+2212. Scores and pass rates are cut, not rounded:
94.96 must not be shown as the 95.0 that would have been green.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
"""The zone of every time on a page."""

ZONE_LABEL = "UTC+8"
"""How the zone is written, once, in a column's head."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FULL_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def number(value: int | float | Decimal, decimals: int = 0) -> str:
    """`1443636` → `1,443,636`; always `decimals` places, so that a column has one precision."""
    return f"{_rounded(value, decimals):,f}".replace("-", "−")


def prose_number(value: int, language: str) -> str:
    """A number inside a sentence: 2.1 亿, 210 million; below ten thousand all its digits."""
    steps: tuple[tuple[int, str], ...] = (
        ((10**8, " 亿"), (10**4, " 万"))
        if language == "zh-CN"
        else ((10**9, " billion"), (10**6, " million"))
    )
    for size, word in steps:
        if abs(value) >= size:
            return _shortest(_rounded(Decimal(value) / size, 1)) + word
    return number(value)


def score(value: float) -> str:
    """A score from 0 to 100 with one place, cut; a full score is `100`."""
    return _shortest_full(_cut(value, 1))


def cut(value: float, decimals: int = 1) -> str:
    """A score or pass rate in a column: always `decimals` places, cut."""
    return f"{_cut(value, decimals):,f}".replace("-", "−")


def pass_rate(value: float) -> str:
    """A share of passes in percent, cut to one place: `94.9%`, `100%`."""
    return f"{score(value)}%"


def percent(value: float) -> str:
    """A share in percent with one place: `94.1%`. `0%` and `100%` are exact; near them `<0.1%`, `>99.9%`."""
    rounded = _rounded(value, 1)
    if rounded <= 0 and value > 0:
        return "<0.1%"
    if rounded >= 100 and value < 100:
        return ">99.9%"
    return f"{_shortest_full(rounded)}%"


def size(bytes_: int) -> str:
    """Bytes in decimal units: `812 B`, `31.4 MB`, `118 MB`."""
    if bytes_ < 1000:
        return f"{number(bytes_)} B"
    value = Decimal(bytes_)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        # 999.6 kB would be written 1,000 kB: go on to the next unit
        if _rounded(value, 0) < 1000 or unit == "TB":
            break
    return f"{number(value, 0 if value >= 100 else 1)} {unit}"


def local(moment: datetime) -> datetime:
    """The same moment in the pages' zone. Raises `ValueError` for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be shown")
    return moment.astimezone(ZONE)


def table_date(day: date) -> str:
    """`2026-11-20`, in tables of every language."""
    return f"{day:%Y-%m-%d}"


def table_moment(moment: datetime) -> str:
    """`2026-11-20 14:31`, local; the zone stands in the column's head."""
    return f"{local(moment):%Y-%m-%d %H:%M}"


def clock(moment: datetime) -> str:
    """`14:31`, local."""
    return f"{local(moment):%H:%M}"


def prose_date(day: date, today: date, language: str) -> str:
    """11 月 20 日 / 20 Nov; in another year 2026 年 3 月 1 日 / 1 March 2013."""
    if language == "zh-CN":
        year = "" if day.year == today.year else f"{day.year} 年 "
        return f"{year}{day.month} 月 {day.day} 日"
    if day.year == today.year:
        return f"{day.day} {_MONTHS[day.month - 1]}"
    return f"{day.day} {_FULL_MONTHS[day.month - 1]} {day.year}"


def days_late(due: datetime, now: datetime) -> int:
    """Calendar days (local) since the due day; 0 when it is not over."""
    return max((local(now).date() - local(due).date()) // timedelta(days=1), 0) if now > due else 0


def short_hash(digest: str) -> str:
    """`9f3c41d0…` of 64 digits → `9f3c…e1a7`: enough to compare by eye, the whole stands elsewhere."""
    return digest if len(digest) <= 9 else f"{digest[:4]}…{digest[-4:]}"


def grouped_hash(digest: str) -> str:
    """A whole hash in groups of eight digits, for reading aloud."""
    return " ".join(digest[i : i + 8] for i in range(0, len(digest), 8))


def _rounded(value: int | float | Decimal, decimals: int) -> Decimal:
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def _cut(value: float, decimals: int) -> Decimal:
    # a float may miss its decimal by a hair (0.1 + 0.2): settle at nine places before cutting
    return _rounded(value, 9).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR)


def _shortest(value: Decimal) -> str:
    text = f"{value:,f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shortest_full(value: Decimal) -> str:
    """One place always, except for the two ends of the scale, which are exact."""
    return _shortest(value) if value in (0, 100) else f"{value:,f}".replace("-", "−")
