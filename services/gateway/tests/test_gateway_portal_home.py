"""The portal's front page."""

from __future__ import annotations

import re

import httpx
import pytest
from portal_specimen import Outline, Specimen, check_frame, client


async def test_empty_city_invents_nothing() -> None:
    async with client(Specimen(datasets=0)) as http:
        for path in ("/zh/", "/en/", "/zh/datasets", "/en/datasets"):
            page = Outline((await http.get(path)).text)
            assert len(page.all("table")) == 0
            assert "waffle__row" not in str(page.tags)
            check_frame(page, "zh-CN" if "zh" in path else "en")


async def test_waffle_has_one_stone_per_dataset(portal: httpx.AsyncClient) -> None:
    html = (await portal.get("/zh/")).text
    assert sum(d.count("M") for d in re.findall(r'class="w-\w+" d="([^"]*)"', html)) == 31


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, "/zh/"),
        ({"accept-language": "en-GB,en;q=0.9,zh;q=0.5"}, "/en/"),
        ({"accept-language": "fr, zh;q=0.3, en;q=0.2"}, "/zh/"),
        ({"accept-language": "en", "cookie": "lang=zh-CN"}, "/zh/"),
        ({"accept-language": "zh", "cookie": "lang=en"}, "/en/"),
    ],
)
async def test_front_speaks_the_readers_language(
    portal: httpx.AsyncClient, headers: dict[str, str], target: str
) -> None:
    answer = await portal.get("/", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (302, target)
