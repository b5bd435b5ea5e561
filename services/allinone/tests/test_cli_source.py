"""`plaza source …`, against a gateway that lives in this process; secrets that stay on this machine."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import City

SOURCES = "/api/v1/departments/ecology/sources"
FEED = f"{SOURCES}/feed"
RUN = "departments/ecology/runs/01980000-0000-7000-8000-000000000001"
WHY = (
    *("--dataset", "ecology/air", "--title", "空气", "--class", "public-service", "--owner", "监测处"),
    *("--basis", "第二十三条", "--justification", "hourly values only"),
)
KNOWN: dict[str, Any] = {
    "name": "departments/ecology/sources/feed",
    "displayName": "空气",
    "class": "SOURCE_CLASS_PUBLIC_SERVICE",
    "state": "SOURCE_STATE_FAILING",
    "dataset": "departments/ecology/datasets/air",
    "lastError": {"message": "HTTP 404", "remedy": "see"},
}
WEB = {**KNOWN, "http": {"url": "https://a.example/x"}, "schedule": {"cron": "0 1 * * *"}}
TABLE = {
    **KNOWN,
    "mode": "LOAD_MODE_UPSERT",
    "postgres": {"host": "db.example", "database": "d", "table": {"table": "air"}, "watermarkColumn": "at"},
    "cursor": {"watermark": "2024-01-01 00:00:00+00"},
}


def test_adding_a_web_address(city: City) -> None:
    city.answer(f"POST {SOURCES}", WEB)
    city.logged_in()
    result = city.run(
        *("source", "add", "ecology/feed", *WHY, "--http", "https://a.example/x", "--mode", "replace"),
        *("--header", "Accept: text/csv", "--credential", "token", "--cron", "0 1 * * *"),
    )
    assert result.exit_code == 0, result.output
    assert city.asked(SOURCES)[-1].url.params["sourceId"] == "feed"
    assert city.sent(SOURCES) == {
        "displayName": "空气",
        "class": "SOURCE_CLASS_PUBLIC_SERVICE",
        "owner": "监测处",
        "lawfulBasis": "第二十三条",
        "justification": "hourly values only",
        "dataset": "departments/ecology/datasets/air",
        "mode": "LOAD_MODE_REPLACE",
        "schedule": {"cron": "0 1 * * *"},
        "http": {"url": "https://a.example/x", "headers": {"Accept": "text/csv"}, "credential": "token"},
    }


def test_adding_a_table(city: City) -> None:
    city.answer(f"POST {SOURCES}", TABLE)
    city.logged_in()
    result = city.run(
        *("source", "add", "ecology/feed", *WHY, "--postgres", "db.example:5433/city", "--user", "reader"),
        *("--table", "env.air", "--mode", "upsert", "--watermark", "at", "--lateness", "2h"),
        *("--key-order", "station, hour", "--credential", "pw", "--system", "stations", "--json"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == TABLE
    sent = city.sent(SOURCES)
    assert sent["sourceSystem"] == "departments/ecology/sourceSystems/stations"
    assert sent["postgres"] == {
        "host": "db.example",
        "port": 5433,
        "database": "city",
        "table": {"schema": "env", "table": "air"},
        "user": "reader",
        "tls": "TLS_MODE_VERIFY_FULL",
        "credential": "pw",
        "watermarkColumn": "at",
        "lateness": "7200s",
        "keyOrder": ["station", "hour"],
    }


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--http", "https://a.example", "--postgres", "h/d"),
        ("--http", "https://a.example", "--table", "t"),
        ("--http", "https://a.example", "--header", "nothing"),
        ("--postgres", "h/d"),
        ("--postgres", "h/d", "--table", "t", "--query", "SELECT 1"),
        ("--postgres", "u:p@h/d", "--table", "t"),
        ("--postgres", "h/d", "--table", "t", "--lateness", "soon"),
        ("--postgres", "h/d", "--table", "t", "--max-bytes", "5"),
    ],
)
def test_wrong_use(city: City, words: tuple[str, ...]) -> None:
    city.logged_in()
    assert city.run("source", "add", "ecology/feed", *WHY, *words).exit_code == 2
    assert not city.asked(SOURCES)


def test_looking(city: City) -> None:
    city.answer(f"GET {SOURCES}", {"sources": [WEB, TABLE]})
    city.answer(f"GET {FEED}", TABLE)
    city.logged_in()
    listed = city.run("source", "list", "--dataset", "ecology/air")
    assert listed.exit_code == 0, listed.output
    assert city.asked(SOURCES)[-1].url.params["dataset"] == "departments/ecology/datasets/air"
    assert "https://a.example/x" in listed.stdout
    assert "postgresql://db.example:5432/d public.air" in listed.stdout
    shown = city.run("source", "show", "ecology/feed")
    for words in ("failing", "HTTP 404", "2024-01-01 00:00:00+00", "upsert", "public-service"):
        assert words in shown.stdout
    assert city.run("source", "show", "feed").exit_code == 2


@pytest.mark.parametrize(
    ("end", "said", "code"),
    [
        (
            {"state": "RUN_STATE_SUCCEEDED", "version": 3, "progress": {"rowsAccepted": "5"}},
            "version 3: 5 rows",
            0,
        ),
        ({"state": "RUN_STATE_SUCCEEDED", "unchanged": True}, "nothing new", 0),
        ({"state": "RUN_STATE_FAILED", "error": {"message": "HTTP 404"}}, "HTTP 404", 1),
    ],
)
def test_pulling(city: City, end: dict[str, Any], said: str, code: int) -> None:
    city.answer(f"POST {FEED}:pull", {"name": RUN, "source": KNOWN["name"], "state": "RUN_STATE_QUEUED"})
    line = json.dumps({"name": RUN, "endTime": "2026-11-21T02:00:00Z", **end}).encode() + b"\n"
    city.stream(f"GET /api/v1/{RUN}:watch", [line])
    city.logged_in()
    started = city.run("source", "pull", "ecology/feed")
    assert started.exit_code == 0, started.output
    assert "--wait" in started.stdout
    waited = city.run("source", "pull", "ecology/feed", "--wait")
    assert waited.exit_code == code, waited.output
    assert said in waited.output


def test_pausing(city: City) -> None:
    city.answer(f"POST {FEED}:pause", {**WEB, "state": "SOURCE_STATE_PAUSED"})
    city.answer(f"POST {FEED}:resume", {**WEB, "state": "SOURCE_STATE_ACTIVE"})
    city.logged_in()
    assert "paused" in city.run("source", "pause", "ecology/feed").stdout
    assert "active" in city.run("source", "resume", "ecology/feed").stdout


def test_a_credential_stays_here(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAZA_HOME", str(tmp_path / "home"))
    for secret in ("Bearer s3cret", "another"):
        result = city.run("source", "credential", "ecology", "token", stdin=f"{secret}\n")
        assert result.exit_code == 0, result.output
        assert "s3cret" not in result.output
        path = tmp_path / "home/departments/ecology/secrets/token"
        assert path.read_text() == f"{secret}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not city.requests
    elsewhere = tmp_path / "elsewhere"
    city.run("source", "credential", "ecology", "token", "--folder", str(elsewhere), stdin="x")
    assert (elsewhere / "token").read_text() == "x\n"
    for name, secret in (("../x", "a"), ("token", ""), ("token", "two\nlines")):
        assert city.run("source", "credential", "ecology", name, stdin=secret).exit_code == 2
