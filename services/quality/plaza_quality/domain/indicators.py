"""Indicators of GB/T 36344-2018 (data quality evaluation indicators): X = A / B, each with its direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from plaza_quality.domain.counting import Counts


class Direction(StrEnum):
    """Which way is good."""

    HIGHER = "higher"
    LOWER = "lower"


NAMES: Final = {
    "0101": "数据标准",
    "0102": "数据模型",
    "0103": "元数据",
    "0104": "业务规则",
    "0105": "权威参考数据",
    "0106": "安全规范",
    "0201": "数据元素完整性",
    "0202": "数据记录完整性",
    "0301": "数据内容正确性",
    "0302": "数据格式合规性",
    "0303": "数据重复率",
    "0304": "数据唯一性",
    "0305": "脏数据出现率",
    "0401": "相同数据一致性",
    "0402": "关联数据一致性",
    "0501": "基于时间段的正确性",
    "0502": "基于时间点及时性",
    "0503": "时序性",
    "0601": "可访问",
    "0602": "可用性",
}
"""All of them, with the standard's names."""
_LOWER: Final = frozenset({"0303", "0305"})
"""Rates of what is wrong. Some local rules turn them round (1 − A/B): the direction is kept beside every value."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """The value of one indicator over all rules that count for it."""

    code: str
    numerator: int
    """A: what passes where higher is better, else what fails."""
    denominator: int
    """B: what was judged; greater than 0."""
    direction: Direction

    @property
    def value(self) -> Fraction:
        """X."""
        return Fraction(self.numerator, self.denominator)


def direction(code: str) -> Direction:
    """The standard's own."""
    return Direction.LOWER if code in _LOWER else Direction.HIGHER


def indicators(counted: Iterable[tuple[str, Counts]]) -> tuple[Indicator, ...]:
    """From (indicator, counts) of the rules; by code. Those for which nothing was judged are left out."""
    sums: dict[str, tuple[int, int]] = {}
    for code, counts in counted:
        passed, failed = sums.get(code, (0, 0))
        sums[code] = (passed + counts.passed, failed + counts.failed)
    return tuple(
        Indicator(
            code, failed if (way := direction(code)) is Direction.LOWER else passed, passed + failed, way
        )
        for code, (passed, failed) in sorted(sums.items())
        if passed + failed
    )
