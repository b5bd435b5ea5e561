"""Assets, figures and the safety of addresses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_design import STATIC
from plaza_design.assets import UnknownAssetError, assets, find_asset, static_url
from plaza_design.figures import waffles
from plaza_design.headers import CONTENT_SECURITY_POLICY
from plaza_design.pages import page_numbers, safe_href


def test_every_static_file_has_an_address_with_its_hash() -> None:
    assert {path.name for path in STATIC.iterdir()} == set(assets())
    for name, asset in assets().items():
        assert static_url(name) == f"/static/{asset.digest}/{name}"
        assert find_asset(asset.digest, name) == asset
        assert find_asset("0" * 16, name) is None
    with pytest.raises(UnknownAssetError, match=r"plaza\.css"):
        static_url("missing.css")


def test_style_sheets_load_nothing_from_elsewhere() -> None:
    for name in ("tokens.css", "plaza.css"):
        sheet = (STATIC / name).read_text(encoding="utf-8")
        assert "@import" not in sheet
        assert not re.search(r"url\((?!#)", sheet)


def test_both_dark_blocks_are_equal() -> None:
    """The dark values stand twice (device and explicit choice); one must not drift from the other."""
    sheet = re.sub(r"/\*.*?\*/", "", (STATIC / "tokens.css").read_text(encoding="utf-8"), flags=re.S)
    device, explicit = (
        dict(re.findall(r"(--[\w-]+):\s*([^;]+);", block))
        for block in (
            sheet[sheet.index(':root:not([data-theme="light"])') : sheet.index(':root[data-theme="dark"]')],
            sheet[sheet.index(':root[data-theme="dark"]') : sheet.index("@media (prefers-reduced-motion")],
        )
    )
    assert device == explicit


def test_every_token_that_is_used_exists() -> None:
    sheets = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("tokens.css", "plaza.css"))
    defined = set(re.findall(r"(--[\w-]+)\s*:", sheets))
    # given by the element itself in a figure of the console
    assert set(re.findall(r"var\((--[\w-]+)\)", sheets)) - defined <= {"--v", "--p", "--goal"}


def test_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


@given(st.lists(st.tuples(*[st.integers(0, 90)] * 3), max_size=8))
def test_one_stone_for_each_thing(rows: list[tuple[int, int, int]]) -> None:
    drawn = waffles(rows)
    assert [(w.today.count("M"), w.kept.count("M"), w.late.count("M")) for w in drawn] == rows
    assert len({(w.width, w.height) for w in drawn}) <= 1
    for waffle in drawn:
        corners = re.findall(r"M(\d+) (\d+)h(\d+)", waffle.today + waffle.kept + waffle.late)
        assert len(set(corners)) == len(corners)
        assert all(
            int(x) + int(a) <= waffle.width and int(y) + int(a) <= waffle.height for x, y, a in corners
        )


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", True),
        ("/api/v1/x?y=1", True),
        ("#quality", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.test", False),
        ("/\\evil.test", False),
        ('/"onclick="x', False),
        ("", False),
        (None, False),
    ],
)
def test_safe_href(address: str | None, safe: bool) -> None:
    assert safe_href(address) == (address if safe else None)


def test_pager_numbers() -> None:
    assert page_numbers(1, 1) == [1]
    assert page_numbers(1, 5) == [1, 2, 3, None, 5]
    assert page_numbers(10, 20) == [1, None, 8, 9, 10, 11, 12, None, 20]
