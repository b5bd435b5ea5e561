"""The portal's page of a dataset: facts, rows, what is cited."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx
from plaza_gateway.portal.views import DatasetView, QualityView
from portal_specimen import DATASET, Outline, Specimen, check_frame, check_references, client


async def test_dataset_page_says_what_is_true(portal: httpx.AsyncClient) -> None:
    page = Outline((await portal.get(f"/en{DATASET}")).text)
    text = re.sub(r"\s+", " ", page.text)
    for fact in (
        *("17,633", "6 columns", "31.4 MB", "96.4", "CC BY 4.0", "18 Nov", "8,204,117", "8,204,120"),
        *(
            "1 of 1 rules is not met",
            "1,153 of 17,633 rows fail",
            "2 days late",
            "null 6.5%",
            "First 8 of 17,633",
        ),
        *("Release 5", "withdrawn", "UTC+8", "2026-11-20 14:00", "It applies to no row"),
    ):
        assert fact in text, fact
    assert "2,013" not in text
    hrefs = [a["href"] for a in page.all("a")]
    assert "#rule-1" in hrefs
    assert "#field-pm25" in hrefs
    assert any(h and h.endswith(".csv.proof.json") for h in hrefs)


async def test_missing_values_are_written(portal: httpx.AsyncClient) -> None:
    html = (await portal.get(f"/zh{DATASET}")).text
    preview = html[html.index('id="rows"') : html.index('id="promise"')]
    assert preview.count('<span class="null">null</span>') == 3


async def test_an_unmeasured_dataset_hides_its_quality(portal: httpx.AsyncClient) -> None:
    class Bare(Specimen):
        def view(self, release: int = 5) -> DatasetView:
            return replace(
                super().view(release),
                quality=QualityView(None, "none"),
                preview=(),
                files=(),
                ledger=None,
                licence=None,
                sharing_class=None,
                update_cycle="unspecified",
                due_at=None,
                rows_url=None,
                keywords=(),
            )

    async with client(Bare()) as http:
        for language, prefix in (("zh-CN", "zh"), ("en", "en")):
            page = Outline((await http.get(f"/{prefix}{DATASET}")).text)
            check_frame(page, language)
            check_references(page)
            assert not {"quality", "rows", "promise", "download", "fetch"} & set(page.ids())


async def test_a_query_has_an_address_of_its_own_that_is_cited(portal: httpx.AsyncClient) -> None:
    asked = {
        "filter": "temp < 3",
        "f": "pm25",
        "o": ">",
        "v": "35",
        "order_by": "pm25 desc",
        "column": ["time", "pm25"],
    }
    sent = await portal.get(f"/en{DATASET}/releases/5", params=asked)
    assert sent.status_code == 303
    target = sent.headers["location"]
    assert target == (
        "/en/datasets/ecology/air-hourly/releases/5"
        "?filter=temp+%3C+3+AND+pm25+%3E+35&columns=time%2Cpm25&order_by=pm25+desc#rows"
    )
    page = Outline((await portal.get(f"{target.partition('#')[0]}&page=2")).text)
    permanent = target.partition("#")[0]
    assert permanent in [a["href"] for a in page.all("a")], "without the page number"
    assert f"https://data.test{permanent}" in page.text
    for said in (
        "Filter: temp < 3 AND pm25 > 35.",
        "Columns: time, pm25.",
        "Sorted by: pm25 desc.",
        "431 rows fit",
    ):
        assert said in page.text
    assert (
        next(i for i in page.all("input") if i.get("name") == "filter")["value"] == "temp < 3 AND pm25 > 35"
    )
    assert len([th for th in page.all("th") if th.get("scope") == "col"]) == 2 + 8  # rows, and the rules
    # Without a query the address is the release's own.
    plain = Outline((await portal.get(f"/en{DATASET}")).text)
    assert "https://data.test/en/datasets/ecology/air-hourly/releases/5" in plain.text
    form = next(f for f in plain.all("form") if "rows" in (f["action"] or ""))
    assert form["action"] == "/en/datasets/ecology/air-hourly/releases/5#rows"


async def test_the_rows_of_a_query_have_an_address_for_programs(portal: httpx.AsyncClient) -> None:
    rows = "/api/v1/departments/ecology/datasets/air-hourly/releases/5/rows"
    query = "filter=temp+%3E+3&columns=time&columns=pm25&orderBy=pm25+desc"
    asked = "?filter=temp+%3E+3&columns=time,pm25&order_by=pm25+desc&page=2"
    page = Outline((await portal.get(f"/zh{DATASET}/releases/5{asked}")).text)
    hrefs = [a["href"] for a in page.all("a")]
    for form in ("csv", "jsonl", "parquet", "arrow"):
        assert f"{rows}?{query}&format={form}" in hrefs
    assert f"https://data.test{rows}?{query}&format=csv" in page.text
    copied = {b["data-copy"] for b in page.all("button") if "data-copy" in b}
    assert copied == {"cite-text", "cite-link", "cite-data"} <= set(page.ids())


async def test_heads_sort_the_rows(portal: httpx.AsyncClient) -> None:
    here = f"/en{DATASET}/releases/5"
    for order, following, shown in (
        ("", "?order_by=pm25#rows", None),
        ("?order_by=pm25", "?order_by=pm25+desc#rows", "ascending"),
        ("?order_by=pm25+desc", "#rows", "descending"),
    ):
        page = Outline((await portal.get(here + order)).text)
        assert f"{here}{following}" in [a["href"] for a in page.all("a")]
        assert [th["aria-sort"] for th in page.all("th") if "aria-sort" in th] == ([shown] if shown else [])


async def test_every_file_with_its_size_its_hashes_and_its_proof(portal: httpx.AsyncClient) -> None:
    html = (await portal.get(f"/en{DATASET}")).text
    listed = Outline(html[html.index('id="files"') : html.index('id="releases"')])
    assert [a["download"] for a in listed.all("a") if "download" in a] == [
        *("air-hourly-r5.csv", "air-hourly-r5.csv.proof.json"),
        *("air-hourly-r5.parquet", "air-hourly-r5.parquet.proof.json"),
    ]
    for said in ("CSV", "Parquet", "31.4 MB", "SHA-256 9f3c41d0 77be2a15", "SM3 c0ffee00 77be2a15"):
        assert said in listed.text
    assert listed.all("a")[-1]["href"].endswith("/releases/5/datapackage.json")
    assert "pl.read_parquet(" in Outline(html).text


async def test_a_filter_that_cannot_be_read_says_why(portal: httpx.AsyncClient) -> None:
    answer = await portal.get(f"/zh{DATASET}/releases/5?filter=bad")
    assert answer.status_code == 400
    assert "filter, character 1" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "releases/5?filter=bad" not in Outline(answer.text).text
