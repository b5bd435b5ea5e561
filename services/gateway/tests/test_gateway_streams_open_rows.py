"""Rows of a release for everybody: the same questions and forms as a department's rows, and answers that stay."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_city import DATASET, City, city

pytestmark = pytest.mark.integration
ROWS = f"/api/v1/{DATASET}/releases/2/rows"


@pytest.fixture
async def plaza() -> AsyncIterator[City]:
    async with city(("public",)) as running:
        yield running


async def test_a_page_may_be_kept_and_is_asked_about(plaza: City) -> None:
    page = await plaza.http.get(ROWS, params={"pageSize": 10, "columns": "a,b", "orderBy": "a desc"})
    assert page.json()["rows"] == [["1"]]
    assert page.headers["cache-control"] == "public, max-age=60, must-revalidate"
    assert (page.headers["plaza-version"], page.headers["plaza-release"]) == ("7", "2")
    assert page.headers["plaza-rows"] == "1"
    asked = plaza.portal.streamed[0]
    assert (asked.release, asked.page_size, asked.order_by) == (f"{DATASET}/releases/2", 10, "a desc")
    assert list(asked.columns) == ["a", "b"]
    known = {"if-none-match": page.headers["etag"]}
    again = await plaza.http.get(ROWS, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert (await plaza.http.get(ROWS, headers={"if-none-match": '"x"'})).status_code == 200


@pytest.mark.parametrize(
    ("accept", "written", "form"),
    [
        ("*/*", "", 1),
        ("text/csv", "", 2),
        ("application/x-ndjson", "", 3),
        ("application/vnd.apache.parquet", "", 4),
        ("text/csv;q=0.5, application/vnd.apache.arrow.stream", "", 5),
        ("text/csv", "?format=parquet", 4),
        ("text/csv", "?format=json", 1),
    ],
)
async def test_a_form_is_asked_for_as_of_departments(
    plaza: City, accept: str, written: str, form: int
) -> None:
    answer = await plaza.http.get(ROWS + written, headers={"accept": accept})
    assert plaza.portal.streamed[-1].format == form
    assert "Accept" in answer.headers["vary"]
    assert ("content-disposition" in answer.headers) == (form > 1)
    assert ("etag" in answer.headers) == (form == 1)


@pytest.mark.parametrize("query", ["format=xlsx", "columns=", "skip=3", "version=1", "pageSize=10001"])
async def test_what_the_document_does_not_know_is_refused(plaza: City, query: str) -> None:
    refused = await plaza.http.get(f"{ROWS}?{query}")
    assert (refused.status_code, refused.json()["errors"][0]["in"]) == (400, "query")
    assert plaza.portal.streamed == []


async def test_a_filter_that_cannot_be_read_is_a_problem(plaza: City) -> None:
    refused = await plaza.http.get(ROWS, params={"filter": "?", "format": "csv"})
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")


async def test_a_release_is_described_beside_its_files(plaza: City) -> None:
    described = await plaza.http.get(ROWS.replace("/rows", "/datapackage.json"))
    assert (described.status_code, described.json()) == (200, {"resources": []})
    assert described.headers["content-type"] == "application/json"
