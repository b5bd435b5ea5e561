"""Theme and language, kept in cookies."""

from __future__ import annotations

import httpx
import pytest
from portal_specimen import Outline


async def test_theme_switch_works_without_a_script(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get("/en/datasets?q=e")).text)
    form = next(f for f in page.all("form") if f.get("method") == "post")
    hidden = next(i for i in page.all("input") if i.get("name") == "next")
    answer = await portal.post(form["action"] or "", data={"theme": "dark", "next": hidden["value"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/en/datasets?q=e")
    again = await portal.get(
        "/en/datasets?q=e", headers={"cookie": answer.headers["set-cookie"].split(";")[0]}
    )
    assert Outline(again.text).all("html")[0]["data-theme"] == "dark"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test/",
        "///evil.test/",
        "https://evil.test/",
        "/\\evil.test",
        "/\tevil",
        "javascript:alert(1)",
        "",
        "zh/",
    ],
)
async def test_preferences_never_leave_the_site(portal: httpx.AsyncClient, target: str) -> None:
    answer = await portal.post("/preferences", data={"theme": "light", "next": target})
    assert answer.headers["location"] == "/"


async def test_preferences_keep_only_known_values(portal: httpx.AsyncClient) -> None:
    answer = await portal.post(
        "/preferences", data={"theme": "pink", "lang": "en", "next": "/zh/datasets?q=a"}
    )
    assert answer.headers["location"] == "/en/datasets?q=a"
    assert "lang=en" in answer.headers["set-cookie"]
    assert "theme" not in answer.headers["set-cookie"]
    assert (await portal.post("/preferences", content=b"x" * 10_000)).status_code == 413
