"""Units of measure that headings say: `温度(℃)`, `PM2.5 (μg/m³)`, `price [CNY]`, `风速（单位：m/s）`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_BRACKETS: Final = re.compile(
    r"(?P<title>.*\S)\s*[(（\[【]\s*(?:(?:单位|unit)\s*[:：]\s*)?(?P<unit>[^()（）\[\]【】]{1,24}?)\s*[)）\]】]\s*",
    re.IGNORECASE | re.DOTALL,
)
_PREFIXED: Final = """
g m s A K mol L l W Wh Pa bar J N V B b bit byte Hz F Ω T eq Bq Sv Gy kat cd lm lx
"""
_PREFIXES: Final = ("", "k", "M", "G", "T", "P", "h", "d", "c", "m", "μ", "µ", "u", "n", "p")
_ALONE: Final = """
% ‰ ℃ ℉ °C °F ° ′ ″ min h d a t ha ppm ppb ppt dB dBA NTU pH cal kcal rpm mph kn ft in lb oz
CNY RMB USD EUR HKD JPY GBP $ € £ ¥ ￥ 元 角 分 万元 百万元 千万元 亿元 美元 欧元 港元
人 万人 户 万户 人次 万人次 个 件 万件 次 台 套 辆 万辆 架 艘 头 只 株 棵 张 条 家 所 座 处 宗 项 本 册 份
秒 分钟 小时 时 天 日 周 月 年 岁 米 千米 公里 厘米 毫米 平方米 平方千米 平方公里 立方米 公顷 亩 万亩
克 千克 公斤 毫克 微克 吨 万吨 升 毫升 度 千瓦 千瓦时 万千瓦时 兆瓦 帕 百帕 千帕 倍 级
"""
_ATOMS: Final = frozenset(_ALONE.split()) | {
    prefix + unit for prefix in _PREFIXES for unit in _PREFIXED.split()
}
_LETTERS: Final = "mgtshdVWKL%$"
_BETWEEN: Final = re.compile(r"[/·⋅*×. ]")
_EXPONENT: Final = re.compile(r"\^?[-−⁻+]?[0-9²³¹⁰⁴-⁹]+$")


class Heading(NamedTuple):
    """A heading, cut."""

    title: str
    unit: str
    """Empty: it says none."""


def cut_heading(heading: str) -> Heading:
    """The unit in brackets at the end of a heading, when it is one that we know; else the heading as it is."""
    found = _BRACKETS.fullmatch(heading)
    if found is None or not _is_unit(found["unit"]):
        return Heading(heading, "")
    return Heading(found["title"], found["unit"])


def _is_unit(text: str) -> bool:
    """Known units alone or put together: `μg/m³`, `kg·m-2`, `元/吨`."""
    if len(text) == 1 and text.isascii():
        return text in _LETTERS  # (A) and (B) are more often names
    if text in _ATOMS:
        return True
    parts = _BETWEEN.split(text)
    return all(_EXPONENT.sub("", part) in _ATOMS for part in parts)
