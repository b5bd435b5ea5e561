"""The words of health reports, and how they write months, moments and shares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from plaza.common.v1 import grades_pb2
from plaza.quality.v1 import reports_pb2 as pb
from plaza_design import formats
from plaza_design.i18n import Language, LocalText, Translator, load_translators

LANGUAGES: Final[Mapping[str, Language]] = {"": Language.ZH, "zh": Language.ZH, "en": Language.EN}
"""As requests write them."""


@cache
def translators() -> dict[Language, Translator]:
    """Read once per process."""
    return load_translators((Path(__file__).resolve().parent / "locales",))


def month(words: Translator, text: str) -> str:
    """`2026-11` → 2026 年 11 月, November 2026."""
    year, number = text.split("-")
    return words.text("report.month", year=year, number=int(number), name=words.text(f"month.{int(number)}"))


def moment(at: datetime) -> str:
    """`2026-11-20 14:31`; the zone is said once."""
    return formats.table_moment(at.replace(tzinfo=UTC))


def share(refused: int, loaded: int) -> str:
    """Of what came, what was refused; a dash when nothing came."""
    return formats.percent(100 * refused / (refused + loaded)) if refused + loaded else "–"


def change(now: float, before: float) -> str:
    """Signed, one place, of what was cut off at four: −1.6, +0.3, 0."""
    text = formats.number(now - before, 1)
    if not text.strip("−0."):
        return "0"
    return text if text.startswith("−") else f"+{text}"


def light(value: grades_pb2.Light.ValueType) -> str:
    """`green`, `yellow`, `red`, `unspecified`."""
    return grades_pb2.Light.Name(value).removeprefix("LIGHT_").lower()


def dimension(words: Translator, value: grades_pb2.Dimension.ValueType) -> str:
    """Its name for people."""
    return words.text(f"dimension.{grades_pb2.Dimension.Name(value).removeprefix('DIMENSION_').lower()}")


def called(words: Translator, names: pb.HealthNames, otherwise: str) -> str:
    """The name in the report's language, else in the other, else the id."""
    said = LocalText(names.display_name, names.display_name_en).said(words.language).text
    return said or otherwise.rpartition("/")[2]
