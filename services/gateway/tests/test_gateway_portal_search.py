"""The portal's search page."""

from __future__ import annotations

import httpx
from portal_specimen import HOSTILE, Outline, check_policy


async def test_hostile_search_words_are_text(portal: httpx.AsyncClient) -> None:
    answer = await portal.get("/en/datasets", params={"q": HOSTILE, "department": HOSTILE, "page": HOSTILE})
    assert answer.status_code == 200
    check_policy(Outline(answer.text))
    assert "<script>alert" not in answer.text


async def test_pager_and_filters_keep_the_words(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/en/datasets?department=ecology&q=e")).text)
    assert {"type": "hidden", "name": "q", "value": "e"} in page.all("input")
    chosen = [i for i in page.all("input") if i.get("type") == "checkbox" and "checked" in i]
    assert [i["value"] for i in chosen] == ["ecology"]
    pager = Outline((await portal.get("/en/datasets?page=2")).text)
    assert {a["rel"]: a["href"] for a in pager.all("a") if a.get("rel")} == {
        "prev": "/en/datasets",
        "next": "/en/datasets?page=3",
    }


async def test_found_words_are_marked(portal: httpx.AsyncClient) -> None:
    assert "<mark>空气</mark>质量" in (await portal.get("/zh/datasets?q=空气")).text


async def test_each_choice_can_be_taken_back(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/zh/datasets?q=e&department=ecology&cycle=hourly&cycle=daily")).text)
    taken_back = [a["href"] for a in page.all("a") if a.get("class") == "tag tag--on"]
    assert taken_back == [
        "/zh/datasets?q=e&cycle=hourly&cycle=daily",
        "/zh/datasets?q=e&department=ecology&cycle=daily",
        "/zh/datasets?q=e&department=ecology&cycle=hourly",
    ]
    assert "更新周期：每日" in page.text
    assert "/zh/datasets?q=e" in [a["href"] for a in page.all("a") if a.get("class") == "small"]


async def test_keywords_are_chosen_and_taken_back_without_a_script(portal: httpx.AsyncClient) -> None:
    for prefix, legend, chosen in (("zh", "关键词", "关键词：大气"), ("en", "Keyword", "Keyword: 大气")):
        page = Outline((await portal.get(f"/{prefix}/datasets?q=e&keyword=大气&page=1")).text)
        boxes = {i["value"]: "checked" in i for i in page.all("input") if i.get("name") == "keyword"}
        assert boxes == {"大气": True, "PM2.5": False}
        assert legend in page.text
        assert chosen in page.text
        [taken_back] = [a["href"] for a in page.all("a") if a.get("class") == "tag tag--on"]
        assert taken_back == f"/{prefix}/datasets?q=e"
        form = next(f for f in page.all("form") if f.get("aria-label"))
        assert form["action"] == f"/{prefix}/datasets"
    of_dataset = Outline((await portal.get("/zh/datasets/ecology/air-hourly")).text)
    assert "/zh/datasets?keyword=PM2.5" in [a["href"] for a in of_dataset.all("a")]


async def test_titles_are_suggested(portal: httpx.AsyncClient) -> None:
    answer = await portal.get("/zh/suggest", params={"q": "公交"})
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()[0].startswith("公交站点")
    assert (await portal.get("/en/suggest", params={"q": "公交"})).json()[0].startswith("Bus stops")
    box = next(
        i for i in Outline((await portal.get("/zh/datasets")).text).all("input") if i.get("id") == "hq"
    )
    assert (box["data-suggest"], box["list"]) == ("/zh/suggest", "hq-titles")
