"""Drafts of rules about one column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from plaza.common.v1 import contract_pb2 as pb
from plaza.quality.v1 import profiles_pb2

from plaza_quality.domain.shapes import pattern_of
from plaza_quality.domain.suggestions import Draft, draft

_NUMERIC: Final = (pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_NUMBER)
_TIMES: Final = (pb.FIELD_TYPE_DATE, pb.FIELD_TYPE_TIMESTAMP)
_MOST_LISTED: Final = 50
_LISTED_INTEGERS: Final = 12
_MANY: Final = 5_000
"""Values, of which one in a thousand are some."""
_ROWS_OF_A_VALUE: Final = 20
"""On average, for values to be a list and no names."""

_IDENTITY: Final = (
    pb.TEXT_FORMAT_RESIDENT_ID,
    pb.TEXT_FORMAT_SOCIAL_CREDIT_CODE,
    pb.TEXT_FORMAT_ORGANISATION_CODE,
    pb.TEXT_FORMAT_PLATE,
    pb.TEXT_FORMAT_MOBILE_PHONE,
    pb.TEXT_FORMAT_PHONE,
    pb.TEXT_FORMAT_EMAIL,
    pb.TEXT_FORMAT_UUID,
    pb.TEXT_FORMAT_URL,
    pb.TEXT_FORMAT_IPV4,
    pb.TEXT_FORMAT_IPV6,
    pb.TEXT_FORMAT_DIVISION_CODE,
    pb.TEXT_FORMAT_POSTCODE,
)
"""The more a form demands, the earlier it is believed."""
_TITLES: Final = {
    pb.TEXT_FORMAT_RESIDENT_ID: "符合公民身份号码规则（GB 11643）",
    pb.TEXT_FORMAT_SOCIAL_CREDIT_CODE: "符合统一社会信用代码规则（GB 32100）",
    pb.TEXT_FORMAT_ORGANISATION_CODE: "符合组织机构代码规则（GB 11714）",
    pb.TEXT_FORMAT_PLATE: "符合机动车号牌规则（GA 36）",
    pb.TEXT_FORMAT_MOBILE_PHONE: "是手机号码",
    pb.TEXT_FORMAT_PHONE: "是电话号码",
    pb.TEXT_FORMAT_EMAIL: "是电子邮箱地址",
    pb.TEXT_FORMAT_UUID: "是 UUID",
    pb.TEXT_FORMAT_URL: "是网址",
    pb.TEXT_FORMAT_IPV4: "是 IPv4 地址",
    pb.TEXT_FORMAT_IPV6: "是 IPv6 地址",
    pb.TEXT_FORMAT_DIVISION_CODE: "是行政区划代码",
    pb.TEXT_FORMAT_POSTCODE: "是邮政编码",
    pb.TEXT_FORMAT_DATE: "写成日期",
    pb.TEXT_FORMAT_TIMESTAMP: "写成日期时间",
    pb.TEXT_FORMAT_INTEGER: "写成整数",
    pb.TEXT_FORMAT_DECIMAL: "写成数字",
}
_HINTS: Final[Mapping[int, tuple[str, ...]]] = {
    pb.TEXT_FORMAT_PHONE: ("phone", "tel", "mobile", "电话", "联系"),
    pb.TEXT_FORMAT_POSTCODE: ("post", "zip", "邮"),
    pb.TEXT_FORMAT_DIVISION_CODE: ("division", "region", "district", "county", "adcode", "区划"),
}
"""Forms that plain numbers have too: believed only where the field's name speaks for them."""
_KINDS: Final = (
    (pb.FIELD_TYPE_DATE, pb.TEXT_FORMAT_DATE),
    (pb.FIELD_TYPE_TIMESTAMP, pb.TEXT_FORMAT_TIMESTAMP),
    (pb.FIELD_TYPE_INTEGER, pb.TEXT_FORMAT_INTEGER),
    (pb.FIELD_TYPE_NUMBER, pb.TEXT_FORMAT_DECIMAL),
)
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "longitude": (-180, 180),
    "lng": (-180, 180),
    "lon": (-180, 180),
    "经度": (-180, 180),
    "latitude": (-90, 90),
    "lat": (-90, 90),
    "纬度": (-90, 90),
    "month": (1, 12),
    "月": (1, 12),
    "day": (1, 31),
    "日": (1, 31),
    "hour": (0, 23),
    "时": (0, 23),
    "minute": (0, 59),
    "year": (1900, 2100),
    "年": (1900, 2100),
    "%": (0, 100),
    "percent": (0, 100),
    "humidity": (0, 100),
    "湿度": (0, 100),
    "ph": (0, 14),
    "age": (0, 130),
    "年龄": (0, 130),
}
"""By name, title or unit of the field: what the thing itself cannot leave."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A column with what the contract says of it."""

    profile: profiles_pb2.ColumnProfile
    field: pb.Field
    rows: int
    in_key: bool
    """Of the contract."""
    counts: bool = False
    """It numbers rows, alone or within a series: bounds would only say how many there are."""

    @property
    def title(self) -> str:
        return self.field.title or self.field.name

    @property
    def present(self) -> int:
        return self.rows - self.profile.nulls

    def hinted(self, words: tuple[str, ...]) -> bool:
        """Whether name or title speak of one of these."""
        said = f"{self.field.name} {self.field.title}".lower()
        return any(word in said for word in words)


def of_column(subject: Subject) -> Iterator[Draft]:
    """Every draft; of several about the form of its values only the one that says most."""
    yield from _not_null(subject)
    if not subject.present:
        return
    if subject.field.type in _NUMERIC:
        yield from _range(subject)
    if subject.field.type in _TIMES:
        field = subject.field.name
        yield draft(
            f"{subject.title}不晚于今天"
            if subject.field.type == pb.FIELD_TYPE_DATE
            else f"{subject.title}不在将来",
            50,
            0.01,
            f"the latest is {subject.profile.maximum}",
            not_future=pb.NotFutureCheck(field=field),
        )
    for source in (_in_code_list, _format, _in_list, _kind, _pattern, _length):
        found = source(subject)
        if found is not None:
            yield found
            return


def _not_null(subject: Subject) -> Iterator[Draft]:
    # Without a value in a required field, or in the key's, no row came in.
    if not subject.rows or subject.field.required or subject.in_key:
        return
    nulls = subject.profile.nulls
    share = 100 * nulls / subject.rows
    yield draft(
        f"{subject.title}有值",
        72 if nulls else 55,
        0.1,
        f"{nulls:,} of {subject.rows:,} rows have none ({share:.2g} %)",
        not_null=pb.NotNullCheck(field=subject.field.name),
    )


def _range(subject: Subject) -> Iterator[Draft]:
    if subject.counts:
        return
    bounds = plausible_range(subject)
    if bounds is None:
        return
    low, high, evidence = bounds
    field = subject.field.name
    check = pb.RangeCheck(field=field, minimum=low, maximum=high)
    yield draft(f"{subject.title}在 {low:g} 到 {high:g} 之间", 70, 0.01, evidence, range=check)


def plausible_range(subject: Subject) -> tuple[float, float, str] | None:
    """What the thing itself cannot leave, where its name or unit tell. Else twice as far from the median as the 0.1 %
    and 99.9 % quantiles are, of fewer rows than 5,000 three times as far as the 1 % and 99 % quantiles, outwards to
    two digits: what so few rows have moves no bound. Not below 0 where no quantile is."""
    quantiles = {each.share: float(each.value) for each in subject.profile.quantiles}
    if subject.profile.distinct < 3 or not quantiles:
        return None
    share, times = (0.001, 2) if subject.present >= _MANY else (0.01, 3)
    low, middle, high = quantiles[share], quantiles[0.5], quantiles[1 - share]
    seen = f"q{100 * share:g} % {low:g}, median {middle:g}, q{100 - 100 * share:g} % {high:g}"
    words = {subject.field.name, subject.field.title, subject.field.unit, *subject.field.name.split("_")}
    for word, (least, most) in _LIMITS.items():
        if word in words and least <= low and high <= most:
            return least, most, f"{seen}; {word} has these limits"
    lower = _outwards(middle - times * (middle - low), -1)
    upper = _outwards(middle + times * (high - middle), 1)
    if low >= 0 > lower:
        lower = 0.0
    return (lower, upper, seen) if lower < upper else None


def _outwards(value: float, way: int) -> float:
    """Rounded to two digits, up (1) or down (-1)."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    whole = math.ceil(value / step - 1e-9) if way > 0 else math.floor(value / step + 1e-9)
    return float(f"{whole * step:.12g}")


def _format(subject: Subject) -> Draft | None:
    if subject.field.type != pb.FIELD_TYPE_STRING:
        return None
    shares = {each.format: each.share for each in subject.profile.formats}
    for form in _IDENTITY:
        if shares.get(form, 0.0) >= 0.9 and (form not in _HINTS or subject.hinted(_HINTS[form])):
            return _of_form(subject, form, shares[form], 95 if form in _IDENTITY[:2] else 85, 0.1)
    return None


def _kind(subject: Subject) -> Draft | None:
    shares = {each.type: each.share for each in subject.profile.kinds}
    for kind, form in _KINDS:
        if shares.get(kind, 0.0) >= 0.95:
            return _of_form(subject, form, shares[kind], 66, 0.05)
    return None


def _of_form(
    subject: Subject, form: pb.TextFormat.ValueType, share: float, rank: int, tolerated: float
) -> Draft:
    word = pb.TextFormat.Name(form).removeprefix("TEXT_FORMAT_").lower().replace("_", " ")
    return draft(
        f"{subject.title}{_TITLES[form]}",
        rank,
        tolerated,
        f"{100 * share:.4g} % of the values are a {word}",
        major=form in _IDENTITY[:2],
        format=pb.FormatCheck(field=subject.field.name, format=form),
    )


def _in_code_list(subject: Subject) -> Draft | None:
    if subject.field.type not in (pb.FIELD_TYPE_STRING, pb.FIELD_TYPE_INTEGER):
        return None
    best = max(subject.profile.code_lists, key=lambda each: each.share, default=None)
    if best is None:
        return None
    name = best.code_list.split("/versions/")[0]
    return draft(
        f"{subject.title}是 {name.removeprefix('codeLists/')} 中的代码",
        90,
        0.05,
        f"{best.matching_values:,} of {subject.profile.distinct:,} values are codes of {best.code_list}",
        in_code_list=pb.InCodeListCheck(field=subject.field.name, code_list=name),
    )


def _in_list(subject: Subject) -> Draft | None:
    profile = subject.profile
    most = _LISTED_INTEGERS if subject.field.type == pb.FIELD_TYPE_INTEGER else _MOST_LISTED
    if (
        subject.field.type not in (pb.FIELD_TYPE_STRING, pb.FIELD_TYPE_INTEGER)
        or not profile.top_values_exact
        or not 2 <= profile.distinct <= min(most, len(profile.top_values))
        or subject.present < _ROWS_OF_A_VALUE * profile.distinct
        or any(word in _LIMITS for word in (subject.field.name, subject.field.title))
    ):
        return None
    # A value that next to nobody has is more likely a slip than a value.
    rare = max(2, subject.present // 10_000) if subject.present >= 1000 else 0
    values = sorted(
        each.value
        for each in profile.top_values
        if each.rows > rare and each.value.isprintable() and each.value
    )
    if len(values) < 2:
        return None
    left_out = profile.distinct - len(values)
    evidence = f"{profile.distinct} values in {subject.present:,} rows" + (
        f", {left_out} of them rare or empty" if left_out else ""
    )
    check = pb.InListCheck(field=subject.field.name, values=values)
    return draft(f"{subject.title}属于 {len(values)} 个取值", 60, 0.01, evidence, in_list=check)


def _pattern(subject: Subject) -> Draft | None:
    shapes = [(each.value, each.rows) for each in subject.profile.shapes]
    present = sum(rows for _, rows in shapes)
    found = pattern_of(shapes, present, 0.98) if present >= _ROWS_OF_A_VALUE else None
    if found is None or len(found.text) > 1000:
        return None
    evidence = f"looks like {', '.join(shape for shape, _ in shapes[:3])}"
    check = pb.PatternCheck(field=subject.field.name, pattern=found.text)
    return draft(f"{subject.title}符合格式", 65, 0.02, evidence, pattern=check)


def _length(subject: Subject) -> Draft | None:
    lengths = subject.profile.lengths
    if subject.field.type != pb.FIELD_TYPE_STRING or subject.present < _ROWS_OF_A_VALUE:
        return None
    if not lengths.minimum == lengths.maximum > 1:
        return None
    check = pb.LengthCheck(field=subject.field.name, minimum=lengths.minimum, maximum=lengths.maximum)
    evidence = f"every text has {lengths.maximum} characters"
    return draft(f"{subject.title}长 {lengths.maximum} 个字符", 40, 0.01, evidence, length=check)
