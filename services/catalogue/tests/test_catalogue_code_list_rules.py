"""Code lists as documents, and those that come with Plaza, without a database."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_catalogue.domain.code_lists import (
    BadCodeList,
    Code,
    CodeListName,
    canonical_csv,
    parse_csv,
    sha256_of,
)
from plaza_catalogue.domain.shipped_lists import Shipped, shipped
from plaza_kit.names import BadName
from stdnum import isin

SHARED = Path(__file__).parents[4] / "shared" / "data" / "divisions"
HEAD = "code,name,name_en,parent,valid_from,valid_to\n"
SHIPPED = {str(each.name): each for each in shipped()}
CELLS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=12)


def wrong(document: str) -> list[str]:
    with pytest.raises(BadCodeList) as raised:
        parse_csv(document)
    assert raised.value.remedy
    return [violation.description for violation in raised.value.violations]


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8, unique_by=lambda each: each[0]))
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    codes = tuple(Code(code, name, parent=rows[0][0] if n else "") for n, (code, name) in enumerate(rows))
    assert parse_csv(canonical_csv(codes)) == codes
    assert sha256_of(parse_csv(canonical_csv(codes))) == sha256_of(codes)


def test_headings_in_any_order_and_in_chinese() -> None:
    document = "\N{BYTE ORDER MARK}名称,代码,上级代码,启用日期\r\n市,11,,\r\n 区 ,1101,11,2001-02\r\n\r\n"
    assert parse_csv(document) == (Code("11", "市"), Code("1101", "区", parent="11", valid_from="2001-02"))


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("", "line 1: no column is headed code"),
        ("code\n1", "line 1: no column is headed name"),
        ("code,name,colour\n", "line 1: the heading 'colour' is not one of"),
        ("code,name,code\n", "line 1: two columns are headed code"),
        ("code,name\n", "has no codes"),
        ("code,name\n1,a,b\n", "line 2: has 3 cells, the heading 2"),
        ('code,name\n"a\n', "line 2: is not CSV"),
        (HEAD + "1,,,,,\n", "line 2: has no name"),
        (HEAD + ",a,,,,\n", "line 2: has no code"),
        (HEAD + "1,a,,2,,\n", "line 2: parent '2' is no code of the list"),
        (HEAD + "1,a,,1,,\n", "line 2: code '1' is above itself"),
        (HEAD + "1,a,,2,,\n2,b,,1,,\n", "line 2: code '1' is above itself"),
        (HEAD + '1,"a\nb",,,,\n1,c,,,,\n', "line 4: code '1' stands in line 2 with the same first day"),
        (HEAD + "1,a,,,2001,2000-12\n", "line 2: ends on 2000-12, before it begins"),
        (HEAD + "1,a,,,2001-02-30,\n", "line 2: valid_from '2001-02-30' is not written like"),
        (HEAD + "1,a,,,,0000\n", "line 2: valid_to '0000' is not written like"),
        (HEAD + f"1,{'a' * 201},,,,\n", "line 2: name has more than 200 characters"),
    ],
)
def test_what_is_wrong_names_its_line(document: str, text: str) -> None:
    assert any(each.startswith(text) for each in wrong(document)), wrong(document)


def test_a_code_may_return_with_another_name() -> None:
    codes = parse_csv(HEAD + "1,a,,,1990,2001\n1,b,,,2001-05,\n")
    assert [code.name for code in codes] == ["a", "b"]


def test_names() -> None:
    assert CodeListName.parse("codeLists/gb-t-2260") == CodeListName("gb-t-2260")
    assert str(CodeListName.parse("codeLists/a/versions/2024.1_b")) == "codeLists/a/versions/2024.1_b"
    for name in ("codeLists/", "codeLists/A", "codeLists/a/versions/", "codeLists/a/versions/.x", "x"):
        with pytest.raises(BadName):
            CodeListName.parse(name)


@pytest.mark.parametrize("each", SHIPPED.values(), ids=SHIPPED)
def test_shipped_lists_keep_their_own_rules(each: Shipped) -> None:
    codes = each.codes()
    assert parse_csv(canonical_csv(codes)) == codes
    assert each.facts.display_name
    assert each.facts.display_name_en
    assert each.facts.standard
    assert each.facts.source
    assert each.facts.description


@pytest.mark.parametrize(
    ("name", "count", "sha256"),
    [
        (
            "codeLists/gb-t-2261-1/versions/2003",
            4,
            "e0337f8db6f6fb5e160360e1430c6f686159dc33bd762628c776a02bcc768414",
        ),
        (
            "codeLists/gb-t-2261-2/versions/2003",
            8,
            "7b4527d57a8d09c63c9abc3e767397a82b1b86a8f82bcedc92780581c71e7c69",
        ),
        (
            "codeLists/gb-t-3304/versions/1991",
            56,
            "64a4110daac9ef9b728e77ed3f1ae62d43bc8714fcd496e36c938d64297244e4",
        ),
        (
            "codeLists/hj-633/versions/2012",
            6,
            "9e57d9127b67dae570b080561c26dda0cf0d4f055fdb0d3f89f32d66bdad5c42",
        ),
    ],
)
def test_a_shipped_version_never_changes(name: str, count: int, sha256: str) -> None:
    """A correction is a version of its own: what is stored anywhere keeps its meaning."""
    codes = SHIPPED[name].codes()
    assert (len(codes), sha256_of(codes)) == (count, sha256)


def test_countries_are_those_of_the_standard() -> None:
    [each] = [each for name, each in SHIPPED.items() if "iso-3166-1" in name]
    codes = {code.code: code for code in each.codes()}
    assert len(codes) == 249
    # What a list made elsewhere has besides are prefixes of securities, and states that are no more.
    assert codes.keys() < set(isin._country_codes)
    assert (codes["CN"].name, codes["CI"].name_en) == ("中国", "Côte d’Ivoire")


def test_divisions_have_provinces_prefectures_counties() -> None:
    [each] = [each for name, each in SHIPPED.items() if "gb-t-2260" in name]
    codes = each.codes()
    current = {code.code: code for code in codes if not code.valid_to}
    assert (current["110101"].name, current["110101"].parent) == ("东城区", "110100")
    assert (current["110100"].parent, current["110000"].parent) == ("110000", "")
    assert sum(not code.parent for code in current.values()) == 34
    former = [code for code in codes if code.code == "120110"]
    assert [(c.name, c.valid_from, c.valid_to) for c in former] == [
        ("东郊区", "", "1991"),
        ("东丽区", "1992", ""),
    ]


def test_divisions_against_the_statistics_office() -> None:
    """Its list has development zones besides, which are no divisions."""
    path = SHARED / "areas.csv"
    if not path.exists():
        pytest.skip(
            f"{path} is not there: the divisions of the statistics office are not part of the project"
        )
    [each] = [each for name, each in SHIPPED.items() if "gb-t-2260" in name]
    current = {code.code: code.name for code in each.codes() if not code.valid_to}
    with path.open(encoding="utf-8", newline="") as file:
        theirs = {row["code"]: row["name"] for row in csv.DictReader(file)}
    same = sum(current.get(code) == name for code, name in theirs.items())
    assert same / len(theirs) > 0.95, f"{same} of {len(theirs)}"
