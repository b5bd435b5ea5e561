"""Every page of the portal: words, structure, safety, addresses."""

from __future__ import annotations

import re

import httpx
import pytest
from plaza_design.headers import CONTENT_SECURITY_POLICY
from portal_specimen import (
    DATASET,
    Outline,
    Specimen,
    check_frame,
    check_policy,
    check_references,
    client,
    make_app,
)

PATHS = {
    "/": 200,
    "/datasets": 200,
    "/datasets?q=%E7%A9%BA%E6%B0%94&department=ecology": 200,
    "/datasets?q=nothing-like-it": 200,
    "/datasets?cycle=hourly&cycle=daily&category=%E6%B0%B4&format=CSV": 200,
    f"{DATASET}/releases/5?filter=pm25+%3E+35&columns=pm25,time&order_by=pm25+desc&page=3": 200,
    f"{DATASET}/releases/5?filter=bad": 400,
    "/datasets?page=2": 200,
    "/datasets?page=99": 200,
    DATASET: 200,
    f"{DATASET}/releases/2": 200,
    f"{DATASET}/releases/3": 410,
    "/datasets/ecology/gone": 404,
    "/nowhere/at/all": 404,
}
PAGES = [(f"/{prefix}{path}", status) for prefix in ("zh", "en") for path, status in PATHS.items()]


@pytest.mark.parametrize(("path", "status"), PAGES)
async def test_page_is_whole(portal: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await portal.get(path)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    page = Outline(answer.text)
    check_frame(page, "zh-CN" if path.startswith("/zh") else "en")
    check_policy(page)
    check_references(page)
    assert not re.search(r"\b(None|Undefined|StrictUndefined|LocalText)\b", page.text)


@pytest.mark.parametrize(("path", "status"), PAGES)
async def test_hostile_metadata_is_text(hostile: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await hostile.get(path)
    assert answer.status_code == status
    page = Outline(answer.text)
    check_policy(page)
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "49" not in re.findall(r"'(\d+)\{%", page.text)


@pytest.mark.parametrize("prefix", ["zh", "en"])
async def test_english_pages_mark_what_is_chinese(portal: httpx.AsyncClient, prefix: str) -> None:
    """Every run of Chinese on an English page stands in an element that says so (WCAG 3.1.2)."""
    html = (await portal.get(f"/{prefix}{DATASET}")).text
    if prefix == "zh":
        assert '<span lang="en">Checked by a person</span>' in html
        return
    body = html[html.index("<body>") :]
    unmarked = re.sub(r'<(span|a)[^>]* lang="zh-CN"[^>]*>.*?</\1>', "", body)
    # rows of the data themselves and the directory's own codes have no declared language
    unmarked = re.sub(r"<tbody>.*?</tbody>|<aside.*?</aside>", "", unmarked, flags=re.S)
    unmarked = re.sub(r"<[^>]+>", "", unmarked)
    assert not re.findall(r"[\u4e00-\u9fff]+", unmarked)


async def test_every_red_mark_has_its_way_out(portal: httpx.AsyncClient) -> None:
    for path in ("/en/", "/en/datasets", f"/en{DATASET}"):
        html = (await portal.get(path)).text
        marks = re.findall(r'(<a [^>]*>)?<span class="sig sig--bad">', html)
        assert marks
        assert all(marks), path


async def test_language_switch_keeps_the_page(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/datasets?q=%E7%A9%BA%E6%B0%94&page=1")).text)
    switch = next(a for a in page.all("a") if a.get("hreflang"))
    assert switch["href"] == "/en/datasets?q=%E7%A9%BA%E6%B0%94&page=1"


async def test_assets_resolve_and_may_be_kept_for_ever(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/")).text)
    addresses = [a["href"] for a in page.all("link") if "/static/" in (a["href"] or "")]
    addresses += [s["src"] for s in page.all("script")]
    assert len(addresses) == 4
    for address in addresses:
        answer = await portal.get(address or "")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await portal.get("/static/0000000000000000/plaza.css")).status_code == 404


async def test_errors_speak_the_design_language() -> None:
    async with client(Specimen(down=True)) as http:
        answer = await http.get("/en/")
        assert answer.status_code == 503
        page = Outline(answer.text)
        check_frame(page, "en")
        assert "open-data does not answer" not in page.text
        other = await http.get("/elsewhere", headers={"accept-language": "en"})
        assert other.status_code == 404
        check_frame(Outline(other.text), "en")


async def test_pages_are_not_in_the_api_description() -> None:
    assert make_app(Specimen()).openapi()["paths"] == {}
