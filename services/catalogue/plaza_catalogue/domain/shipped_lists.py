"""The code lists that come with Plaza: where each was taken from, how far it was checked, and its codes.

Short national lists are files of this package. Long ones that others maintain are read from the packages that carry
them, so that nothing under another licence is copied here; their version names the release that was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources

from plaza.catalogue.v1 import code_lists_pb2 as pb

from plaza_catalogue.domain.code_lists import Code, CodeListName, parse_csv

_TRANSCRIBED = (
    "Transcribed and compared with independent public transcriptions, not with the printed standard."
    " English names are"
)
_PERIOD = re.compile(r"\[(\d{0,4})-(\d{0,4})\](.+)", re.ASCII)
# CLDR's two-letter territories that ISO 3166-1 has not assigned: exceptional reservations, groups, user-assigned.
_NOT_ISO = frozenset(
    ("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ")
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A version that comes with Plaza."""

    name: CodeListName
    facts: pb.CodeListVersion
    """Without name and counts."""
    codes: Callable[[], tuple[Code, ...]]
    """Reads files: not for the event loop."""


def shipped() -> tuple[Shipped, ...]:
    """All of them, by id. Their codes are not read yet."""
    return (
        _divisions(),
        _file(
            "gb-t-2261-1",
            pb.CodeListVersion(
                display_name="人的性别代码",
                display_name_en="Codes for sexual distinction of human",
                standard="GB/T 2261.1",
                edition="2003",
                description=f"{_TRANSCRIBED} ours.",
            ),
        ),
        _file(
            "gb-t-2261-2",
            pb.CodeListVersion(
                display_name="婚姻状况代码",
                display_name_en="Codes for marital status",
                standard="GB/T 2261.2",
                edition="2003",
                description=f"{_TRANSCRIBED} ours.",
            ),
        ),
        _file(
            "gb-t-3304",
            pb.CodeListVersion(
                display_name="中国各民族名称的罗马字母拼写法和代码",
                display_name_en="Names of nationalities of China in romanization with codes",
                standard="GB/T 3304",
                edition="1991",
                description=f"Numeric codes. {_TRANSCRIBED} the standard's romanisation.",
            ),
        ),
        _file(
            "hj-633",
            pb.CodeListVersion(
                display_name="环境空气质量指数级别",
                display_name_en="Levels of the ambient air quality index",
                standard="HJ 633",
                edition="2012",
                description=f"Levels one to six, numbered, with their category as name. {_TRANSCRIBED} ours."
                " Index: 0–50, 51–100, 101–150, 151–200, 201–300, above 300.",
            ),
        ),
        _countries(),
    )


def _file(code_list: str, facts: pb.CodeListVersion) -> Shipped:
    """A list that is a file of this package, named by list and edition."""

    def codes() -> tuple[Code, ...]:
        file = resources.files("plaza_catalogue") / "codes" / f"{code_list}-{facts.edition}.csv"
        return parse_csv(file.read_text("utf-8"))

    facts.source = f"the table of codes of {facts.standard}-{facts.edition}"
    return Shipped(CodeListName(code_list, facts.edition), facts, codes)


def _divisions() -> Shipped:
    release = metadata.version("python-stdnum")
    facts = pb.CodeListVersion(
        display_name="中华人民共和国行政区划代码",
        display_name_en="Codes for the administrative divisions of the People's Republic of China",
        standard="GB/T 2260",
        edition=f"as python-stdnum {release} has it",
        description="Divisions down to counties, the former ones too, with the years in which they existed as far as "
        "the source knows them. The source is a community's transcription, not the official gazette, and lacks the "
        "newest changes: compare it with the Ministry of Civil Affairs and add a version of your own where it matters.",
        source=f"PyPI python-stdnum {release}, stdnum/cn/loc.dat, made from the lists of zh.wikipedia.org",
        licence="LGPL-2.1-or-later",
    )
    return Shipped(CodeListName("gb-t-2260", f"stdnum-{release}"), facts, _division_codes)


def _division_codes() -> tuple[Code, ...]:
    from stdnum import numdb

    found = {
        low + rest: str(properties["county"])
        for _, low, _, _, children in numdb.get("cn/loc").prefixes
        for _, rest, _, properties, _ in children
    }
    return tuple(
        Code(code, name, parent=_above(code, found), valid_from=begins, valid_to=ends)
        for code, names in sorted(found.items())
        for name, begins, ends in _periods(names)
    )


def _periods(names: str) -> Iterator[tuple[str, str, str]]:
    """`[-1991]东郊区,[1992-]东丽区` → each name with its first and last year."""
    for one in names.split(","):
        match = _PERIOD.fullmatch(one)
        if match is None:
            yield one, "", ""
            continue
        begins, ends = match[1], match[2]
        # A last year before the first one: a name that the same year took away again, for the one that follows.
        if not (begins and ends and ends < begins):
            yield match[3], begins, ends


def _above(code: str, known: dict[str, str]) -> str:
    """The prefecture of a county, the province of a prefecture."""
    for above in (f"{code[:4]}00", f"{code[:2]}0000"):
        if above != code and above in known:
            return above
    return ""


def _countries() -> Shipped:
    release = metadata.version("babel")
    facts = pb.CodeListVersion(
        display_name="国家和地区代码（两字母）",
        display_name_en="Country codes, two letters",
        standard="ISO 3166-1 alpha-2",
        edition=f"as Babel {release} has it",
        description="The 249 codes that are assigned. Names are those of Unicode CLDR for Chinese (simplified) and "
        "English, not the standard's own and not those of GB/T 2659.",
        source=f"Unicode CLDR, as PyPI babel {release} carries it",
        licence="Unicode-3.0",
    )
    return Shipped(CodeListName("iso-3166-1", f"babel-{release}"), facts, _country_codes)


def _country_codes() -> tuple[Code, ...]:
    from babel import Locale

    chinese, english = Locale("zh", script="Hans").territories, Locale("en").territories
    return tuple(
        Code(code, chinese[code], english[code])
        for code in sorted(chinese)
        if len(code) == 2 and code not in _NOT_ISO
    )
