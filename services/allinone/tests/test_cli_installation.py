"""What `helm test` runs, against a Plaza of answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from plaza_cli import installation
from plaza_cli.installation import DATASET, Broken, Chain, Place, try_doors

PLACE = Place("http://in", "http://out", "plaza-test", True)
NAME = f"/api/v1/departments/plaza-test/datasets/{DATASET}"
RELEASE = f"{NAME.removeprefix('/api/v1/')}/releases/1"


class Answers:
    """A Plaza in which everything goes well, unless a test changes an answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.given: dict[tuple[str, str], tuple[int, Any]] = {
            ("POST", "/api/v1/departments/plaza-test/datasets"): (409, {}),
            ("POST", "/api/v1/departments/plaza-test/uploads"): (200, {"name": "uploads/1"}),
            ("POST", f"{NAME}:ingest"): (200, {"name": "departments/plaza-test/runs/1"}),
            ("GET", "/api/v1/departments/plaza-test/runs/1"): (
                200,
                {"state": "RUN_STATE_SUCCEEDED", "version": 7, "progress": {"rowsAccepted": "3"}},
            ),
            ("GET", f"{NAME}/rows"): (200, {"rows": [[1, 1, "now"], [2, 2, "now"], [3, 3, "now"]]}),
            ("GET", f"{NAME}/versions/7/assessment"): (200, {}),
            ("POST", f"{NAME}/releases"): (200, {"name": RELEASE}),
            ("GET", f"/api/v1/{RELEASE}"): (
                200,
                {
                    "state": "RELEASE_STATE_PUBLISHED",
                    "files": [{"fileName": "a.parquet"}, {"fileName": "a.csv"}],
                },
            ),
            ("GET", f"/api/v1/{RELEASE}/files/a.csv"): (200, "now now now"),
            ("POST", f"/api/v1/{RELEASE}:withdraw"): (200, {}),
            ("GET", "/readyz"): (200, {}),
            ("GET", "/api/v1/openapi.json"): (200, {}),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = (request.method, request.url.path)
        self.sent.append(asked)
        status, body = self.given[asked]
        # What everybody may read is read as anybody.
        open_to_all = any(each in asked[1] for each in ("/readyz", "/openapi.json", "/files/"))
        assert ("authorization" in request.headers) is not open_to_all
        return httpx.Response(status, text=body if isinstance(body, str) else json.dumps(body))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr(installation, "PAUSE_SECONDS", 0.001)
    return Answers()


async def go(answers: Answers) -> None:
    async def token() -> str:
        return "token"

    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http:
        await Chain(http, PLACE, token, "now").go()


async def test_the_whole_chain_ends_with_a_tombstone(answers: Answers) -> None:
    await go(answers)
    doors = {("GET", "/readyz"), ("GET", "/api/v1/openapi.json")}
    assert set(answers.given) - set(answers.sent) == doors
    assert answers.sent[-1] == ("POST", f"/api/v1/{RELEASE}:withdraw")


@pytest.mark.parametrize(
    ("asked", "answer", "said"),
    [
        (("POST", "/api/v1/departments/plaza-test/uploads"), (403, {"detail": "no"}), "403"),
        (
            ("GET", "/api/v1/departments/plaza-test/runs/1"),
            (200, {"state": "RUN_STATE_FAILED", "error": {"message": "torn"}}),
            "torn",
        ),
        (("GET", f"{NAME}/rows"), (200, {"rows": [[1, 1, "before"]]}), "not those that were loaded"),
    ],
)
async def test_where_it_breaks_is_told(
    answers: Answers, asked: tuple[str, str], answer: tuple[int, Any], said: str
) -> None:
    answers.given[asked] = answer
    with pytest.raises(Broken, match=said):
        await go(answers)


async def test_what_cannot_be_read_is_withdrawn_too(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.until, "__defaults__", (0.05,))
    answers.given[("GET", f"/api/v1/{RELEASE}/files/a.csv")] = (200, "before")
    with pytest.raises(Broken, match="given out by http://out"):
        await go(answers)
    assert answers.sent[-1] == ("POST", f"/api/v1/{RELEASE}:withdraw")


async def test_doors_that_do_not_open(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http:
        await try_doors(http, PLACE)
        monkeypatch.setattr(installation.until, "__defaults__", (0.05,))
        answers.given[("GET", "/readyz")] = (503, {})
        with pytest.raises(Broken, match="http://in/readyz"):
            await try_doors(http, PLACE)
