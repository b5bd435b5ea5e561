"""Addresses of pages; nothing leads off this site."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_design.i18n import Language
from plaza_gateway.portal import addresses


@pytest.mark.parametrize(
    ("path", "english"),
    [
        ("/zh/", "/en/"),
        ("/zh/datasets?q=%E7%A9%BA&page=2", "/en/datasets?q=%E7%A9%BA&page=2"),
        ("/en/datasets", "/en/datasets"),
        ("/elsewhere", "/en/"),
        ("/zhang/x", "/en/"),
    ],
)
def test_in_language(path: str, english: str) -> None:
    assert addresses.in_language(path, Language.EN) == english


def test_search_leaves_out_what_is_not_asked() -> None:
    assert addresses.datasets(Language.ZH) == "/zh/datasets"
    assert (
        addresses.datasets(Language.EN, "a b&c", "ecology", 3)
        == "/en/datasets?q=a+b%26c&department=ecology&page=3"
    )
    assert addresses.datasets(Language.EN, page=1) == "/en/datasets"


def test_names_are_quoted() -> None:
    assert addresses.dataset(Language.ZH, "a/b", "x?y", 2) == "/zh/datasets/a%2Fb/x%3Fy/releases/2"


@given(st.one_of(st.text(), st.text(alphabet="/\\:@.ae\t\n ?#h", max_size=12)))
def test_same_site_never_leaves(target: str) -> None:
    kept = addresses.same_site(target)
    if kept is not None:
        assert urlsplit(urljoin("https://data.test/zh/", kept)).netloc == "data.test"
        assert "\\" not in kept
