"""The rules of sources: what may be registered, when a pull comes, and how far a source was pulled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2
from plaza.ingestion.v1 import ingestion_pb2, sources_pb2
from plaza_ingestion.domain import schedules, sources
from plaza_ingestion.domain.runs import LeaseLost, LeaseToken, RunState, Standing
from plaza_kit.names import DepartmentId

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
ECOLOGY = DepartmentId("ecology")
UPSERT, REPLACE = ingestion_pb2.LOAD_MODE_UPSERT, ingestion_pb2.LOAD_MODE_REPLACE
APPEND = ingestion_pb2.LOAD_MODE_APPEND


def source(**fields: Any) -> sources_pb2.Source:
    known: dict[str, Any] = {
        "display_name": "空气质量",
        "owner": "监测处",
        "lawful_basis": "大气污染防治法 第二十三条",
        "justification": "hourly values only",
        "dataset": "departments/ecology/datasets/air",
    }
    if "postgres" not in fields:
        known["http"] = sources_pb2.HttpConnector(url="https://example.org/air.csv")
    return sources_pb2.Source(**(known | fields))


def postgres(**fields: Any) -> sources_pb2.PostgresConnector:
    if "query" not in fields:
        fields["table"] = sources_pb2.PostgresTable(table="air")
    return sources_pb2.PostgresConnector(host="db.example", database="d", user="u", **fields)


def problems(given_source: sources_pb2.Source) -> list[str]:
    try:
        sources.check_source(ECOLOGY, given_source, NOW)
    except sources.BadSource as error:
        return [violation.field for violation in error.violations]
    return []


def test_good_sources() -> None:
    late = Duration(seconds=60)
    for good in (
        source(),
        source(mode=REPLACE),
        source(postgres=postgres(), mode=REPLACE),
        source(postgres=postgres(), mode=UPSERT),
        source(postgres=postgres(watermark_column="at"), mode=APPEND),
        source(postgres=postgres(watermark_column="at", lateness=late), mode=UPSERT),
        source(postgres=postgres(query=" select ';' as a -- ;\n ; "), mode=REPLACE),
        source(postgres=postgres(query="WITH a AS (SELECT 1) SELECT * FROM a"), mode=REPLACE),
    ):
        assert problems(good) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (source(dataset="departments/transport/datasets/air"), "source.dataset"),
        (source(justification=" "), "source.justification"),
        (source(http=sources_pb2.HttpConnector(headers={"Cookie": "a"})), "source.http.headers[Cookie]"),
        (source(http=sources_pb2.HttpConnector(headers={"range": "a"})), "source.http.headers[range]"),
        (source(postgres=postgres()), "source.mode"),
        (source(postgres=postgres(watermark_column="at"), mode=REPLACE), "source.mode"),
        (source(postgres=postgres(lateness=Duration(seconds=1)), mode=UPSERT), "source.postgres.lateness"),
        (
            source(postgres=postgres(watermark_column="at", lateness=Duration(seconds=1))),
            "source.postgres.lateness",
        ),
        (source(postgres=postgres(query="DELETE FROM a"), mode=REPLACE), "source.postgres.query"),
        (source(postgres=postgres(query="SELECT 1; SELECT 2"), mode=REPLACE), "source.postgres.query"),
        (source(postgres=postgres(query="SELECT 'open"), mode=REPLACE), "source.postgres.query"),
        (source(postgres=postgres(query=";"), mode=REPLACE), "source.postgres.query"),
    ],
)
def test_sources_that_contradict_themselves(bad: sources_pb2.Source, field: str) -> None:
    assert problems(bad) == [field]


@pytest.mark.parametrize(
    ("cron", "zone", "wanted"),
    [
        ("30 2 * * *", "", datetime(2026, 11, 21, 18, 30, tzinfo=UTC)),
        ("30 2 * * *", "UTC", datetime(2026, 11, 21, 2, 30, tzinfo=UTC)),
        ("*/15 * * * mon-fri", "Asia/Shanghai", datetime(2026, 11, 22, 16, 0, tzinfo=UTC)),
        ("0 10 21 11 *", "Asia/Shanghai", datetime(2027, 11, 21, 2, 0, tzinfo=UTC)),
    ],
)
def test_when_a_source_is_pulled(cron: str, zone: str, wanted: datetime) -> None:
    assert schedules.next_time(sources_pb2.PullSchedule(cron=cron, zone=zone), NOW) == wanted


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("0 0 30 2 *", ""),
        ("@annually", ""),
        ("* * * * * *", ""),
        ("R * * * *", ""),
        ("61 * * * *", ""),
        ("* * * * xyz", ""),
        ("30 2 * * *", "Mars/Base"),
        ("30 2 * * *", "../etc/passwd"),
    ],
)
def test_schedules_that_never_come(cron: str, zone: str) -> None:
    with pytest.raises(schedules.BadSchedule):
        sources.check_source(ECOLOGY, source(schedule=sources_pb2.PullSchedule(cron=cron, zone=zone)), NOW)


def test_failures_come_later_and_later() -> None:
    pauses = [schedules.after_failure(failures, NOW) - NOW for failures in (1, 2, 3, 6, 7, 1000)]
    minutes = [pause / timedelta(minutes=1) for pause in pauses]
    assert minutes == [1, 2, 4, 32, 60, 60]


def test_what_an_update_changes() -> None:
    current = source(schedule=sources_pb2.PullSchedule(cron="0 1 * * *"), owner="a", name="x", etag="e")
    given_source = source(owner="b", postgres=postgres())
    given_source.ClearField("schedule")
    paths = sources.update_paths(FieldMask(paths=["owner", "schedule", "etag", "state"]), given_source)
    after = sources.merged(current, given_source, paths)
    assert (after.owner, after.HasField("schedule"), after.WhichOneof("connector")) == ("b", False, "http")
    assert (after.etag, after.name) == ("", "")
    paths = sources.update_paths(FieldMask(), given_source)
    after = sources.merged(current, given_source, paths)
    assert (after.WhichOneof("connector"), after.schedule.cron) == ("postgres", "0 1 * * *")
    for wrong in ("nothing", "http.url"):
        with pytest.raises(sources.NotUpdatable):
            sources.update_paths(FieldMask(paths=[wrong]), given_source)


CURSOR = sources_pb2.PullCursor(etag="e", last_modified="l", sha256="s", watermark="9", contract_version=1)


def test_what_an_update_leaves_of_a_cursor() -> None:
    web, table = source(), source(postgres=postgres(watermark_column="at"), mode=UPSERT)

    def left(before: sources_pb2.Source, **changes: Any) -> sources_pb2.PullCursor:
        after = sources_pb2.Source()
        after.CopyFrom(before)
        after.MergeFrom(sources_pb2.Source(**changes))
        return sources.cursor_after_update(before, after, CURSOR)

    assert left(web, owner="other") == CURSOR
    moved = left(web, http=sources_pb2.HttpConnector(url="https://example.org/other"))
    assert (moved.etag, moved.last_modified, moved.sha256) == ("", "", "s")
    assert left(web, mode=REPLACE) == sources_pb2.PullCursor()
    assert left(web, dataset="departments/ecology/datasets/b") == sources_pb2.PullCursor()
    assert left(web, postgres=postgres()) == sources_pb2.PullCursor()
    assert left(table, postgres=sources_pb2.PostgresConnector(host="new.example", credential="c")) == CURSOR
    assert (
        left(table, postgres=sources_pb2.PostgresConnector(watermark_column="b")) == sources_pb2.PullCursor()
    )
    assert left(table, postgres=sources_pb2.PostgresConnector(query="SELECT 1")) == sources_pb2.PullCursor()


def test_a_new_contract_asks_for_the_file_again_but_keeps_the_watermark() -> None:
    assert sources.cursor_for_pull(CURSOR, 1) == CURSOR
    sent = sources.cursor_for_pull(CURSOR, 2)
    assert (sent.etag, sent.last_modified, sent.watermark) == ("", "", "9")
    assert sources.is_unchanged(CURSOR, 1, "s")
    assert not sources.is_unchanged(CURSOR, 2, "s")
    assert not sources.is_unchanged(CURSOR, 1, "t")
    assert not sources.is_unchanged(sources_pb2.PullCursor(), 0, "")


def test_a_pull_without_news_keeps_what_is_known() -> None:
    after = sources.cursor_after_pull(sources_pb2.PullCursor(), CURSOR, 1)
    assert after == CURSOR
    told = sources_pb2.PullCursor(sha256="t", last_modified="m")
    after = sources.cursor_after_pull(told, CURSOR, 2)
    assert after == sources_pb2.PullCursor(sha256="t", last_modified="m", watermark="9", contract_version=2)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3), st.sampled_from(["ok", "failed", "304"])))
)
def test_a_cursor_never_takes_news_for_none(pulls: list[tuple[str, int, str]]) -> None:
    """Whatever a web server gives, under whatever contract, and whichever pulls fail: what is told as unchanged is
    what was loaded last, under the same contract."""
    cursor, loaded = sources_pb2.PullCursor(), ("", 0)
    for content, contract, outcome in pulls:
        asked = sources.cursor_for_pull(cursor, contract)
        if outcome == "304" and asked.etag == content:
            assert loaded == (content, contract)
            cursor = sources.cursor_after_pull(sources_pb2.PullCursor(), cursor, contract)
        elif sources.is_unchanged(cursor, contract, content):
            assert loaded == (content, contract)
        elif outcome != "failed":
            loaded = (content, contract)
            told = sources_pb2.PullCursor(etag=content, sha256=content)
            cursor = sources.cursor_after_pull(told, cursor, contract)


def test_rows_of_a_database_are_read_as_they_are_written() -> None:
    contract = contract_pb2.Contract(
        key=["id"],
        format=contract_pb2.FileFormat(encoding="gb18030", delimiter=";", type="tsv", missing_values=["NA"]),
    )
    kept = sources.pulled_contract(source(postgres=postgres()), contract)
    assert kept.format == contract_pb2.FileFormat(missing_values=["NA"])
    assert kept.key == ["id"]
    assert sources.pulled_contract(source(), contract) == contract


def test_an_order_knows_the_smaller_limit() -> None:
    name = sources.SourceName.parse("departments/ecology/sources/feed")
    web = source(http=sources_pb2.HttpConnector(url="https://example.org", max_bytes=10))
    assert sources.pull_order(name, web, CURSOR, 100).max_bytes == 10
    assert sources.pull_order(name, web, CURSOR, 5).max_bytes == 5
    assert sources.pull_order(name, source(), CURSOR, 100).max_bytes == 100
    assert sources.pull_order(name, source(postgres=postgres()), CURSOR, 100).max_bytes == 100


def test_a_run_that_brought_its_file_waits_again() -> None:
    first, second = LeaseToken("a"), LeaseToken("b")
    until = NOW + timedelta(seconds=15)
    fetching = Standing().take(first, NOW, until).renew(first, until)
    waiting = fetching.bring(first)
    assert (waiting.state, waiting.attempts, waiting.lease) == (RunState.QUEUED, 0, first)
    assert waiting.is_waiting(NOW)
    for call in (
        lambda: waiting.renew(first, until),
        lambda: waiting.bring(first),
        lambda: waiting.hand_over(first),
    ):
        with pytest.raises(LeaseLost):
            call()
    loading = waiting.take(second, NOW, until)
    with pytest.raises(LeaseLost):
        loading.bring(first)
    assert loading.hand_over(second).succeed().state is RunState.SUCCEEDED
    with pytest.raises(LeaseLost):
        fetching.cancel().bring(first)
