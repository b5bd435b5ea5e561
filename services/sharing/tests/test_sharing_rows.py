"""Reading rows from a lake on disk: whose they are, in which form, in which order, page by page."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plaza.sharing.v1 import sharing_pb2 as pb
from plaza_kit.grants import GrantRefused
from plaza_kit.paging import BadPageToken
from plaza_kit.policy import NotPermitted
from plaza_lake.access import ColumnNotGranted
from plaza_lake.filter_text import parse_filter
from plaza_lake.hashing import content_hash
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_lake.versions import TableNotFound, VersionNotFound
from plaza_sharing.domain.agreements import SIGNED
from plaza_sharing.domain.deliveries import MADE
from plaza_sharing.domain.queries import PagingImpossible
from plaza_sharing.domain.sharing import NotShared, OwnerOnly, ReaderAmbiguous, SharedOnCondition
from plaza_sharing.rpc.peers import SecurityAway
from plaza_sharing.usecases.reading import CHUNK_BYTES, PageOfStream, PagesDisagree

pytestmark = pytest.mark.integration

RPC = cast(Any, None)
Sharing = Any
"""The fixture's class lives in conftest, which tests do not import."""
Rows = list[dict[str, Any]]


def owner(dataset: str) -> str:
    return dataset.split("/")[1]


def whole(sharing: Sharing, dataset: str, columns: tuple[str, ...] | None = None, filter: str = "") -> Any:
    """The content hash that the lake itself takes."""
    schema = TableSchema((Column("station", FieldType.STRING), Column("hour", FieldType.INTEGER)))
    where = parse_filter(filter, schema)
    return content_hash(sharing.world.lake, sharing.world.grants, sharing.grant(dataset), columns, where)


async def test_own_rows_need_no_agreement(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.directory.graded[dataset] = ("core", "not_shared")
    sharing.be("reader", owner(dataset))
    answer = await sharing.read(dataset)
    assert (answer.header.agreement, answer.header.delivery, answer.header.version) == ("", "", 1)
    assert answer.header.content_type == "application/json"
    assert answer.header.file_name == "air-v1.json"
    assert answer.page["columns"] == ["station", "hour", "pm2_5", "time"]
    assert answer.page["nextPageToken"] == ""
    assert sorted(r[1] for r in answer.page["rows"]) == list(range(9))
    assert answer.trailer.rows == 9
    assert answer.trailer.content_sha256 == whole(sharing, dataset).sha256
    assert answer.trailer.body_sha256 == hashlib.sha256(answer.body).hexdigest()
    assert [(right.purpose, right.agreement, right.version) for right in sharing.security.asked] == [
        ("own", "", 1)
    ]
    assert await sharing.events(SIGNED, "dataset", dataset) == []
    assert await sharing.events(MADE, "dataset", dataset) == []


async def test_an_agreement_is_made_once(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    answers = await asyncio.gather(*(sharing.read(dataset, page_size=20) for _ in range(10)))
    name = answers[0].header.agreement
    assert {answer.header.agreement for answer in answers} == {name}
    assert len({answer.header.delivery for answer in answers}) == 10
    agreement = await sharing.agreements.GetAgreement(pb.GetAgreementRequest(name=name), RPC)
    assert agreement.provider == f"departments/{owner(dataset)}"
    assert agreement.consumer == "departments/transport"
    assert (agreement.basis, agreement.state) == (pb.AGREEMENT_BASIS_RULE, pb.AGREEMENT_STATE_IN_FORCE)
    assert len(agreement.clauses) == 4
    assert await sharing.events(SIGNED, "dataset", dataset) == [
        {
            "subject": name,
            "agreement": name,
            "dataset": dataset,
            "provider": agreement.provider,
            "consumer": agreement.consumer,
            "state": "in_force",
            "basis": "rule",
            "content_sha256": agreement.content_sha256,
        }
    ]
    # Another department has an agreement of its own.
    sharing.be("reader", "health")
    assert (await sharing.read(dataset)).header.agreement != name


@pytest.mark.parametrize(
    ("level", "sharing_class", "refusal"),
    [
        ("public", "conditional", SharedOnCondition),
        ("internal", "not_shared", NotShared),
        ("sensitive", "unconditional", OwnerOnly),
        ("", "", OwnerOnly),
    ],
)
async def test_what_is_not_shared_is_refused(
    sharing: Sharing, measured: Rows, level: str, sharing_class: str, refusal: type[Exception]
) -> None:
    dataset = sharing.load(measured)
    sharing.directory.graded[dataset] = (level, sharing_class)
    sharing.be("data-officer", "transport")
    with pytest.raises(refusal):
        await sharing.read(dataset)
    assert sharing.security.asked == []
    assert await sharing.events(SIGNED, "dataset", dataset) == []


async def test_who_may_not_read_makes_no_agreement(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("auditor", owner(dataset))  # a member without a reading role
    with pytest.raises(NotPermitted):
        await sharing.read(dataset)
    sharing.be("reader", "transport", "health")
    with pytest.raises(ReaderAmbiguous):
        await sharing.read(dataset)
    assert await sharing.events(SIGNED, "dataset", dataset) == []
    answer = await sharing.read(dataset, reader="departments/health")
    assert answer.header.agreement
    # A member of both sides reads as owner, unless they say otherwise.
    sharing.be("reader", owner(dataset), "health")
    assert (await sharing.read(dataset)).header.agreement == ""
    assert (await sharing.read(dataset, reader="health")).header.agreement == answer.header.agreement


async def test_what_is_not_there(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", owner(dataset))
    with pytest.raises(VersionNotFound):
        await sharing.read(dataset, version=2)
    with pytest.raises(TableNotFound):
        await sharing.read(dataset.replace("/air", "/never-loaded"))


async def test_all_forms_say_the_same(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    asked: dict[str, Any] = {"filter": "hour > 2", "order_by": "hour desc", "columns": ["hour", "pm2_5"]}
    page = await sharing.read(dataset, **asked)
    as_csv = await sharing.read(dataset, format=pb.ROW_FORMAT_CSV, **asked)
    as_lines = await sharing.read(dataset, format=pb.ROW_FORMAT_JSONL, **asked)
    assert [r[0] for r in page.page["rows"]] == [8, 7, 6, 5, 4, 3]
    lines = [json.loads(line) for line in as_lines.body.splitlines()]
    assert [list(line.values()) for line in lines] == page.page["rows"]
    table = list(csv.reader(io.StringIO(as_csv.body.decode(), newline="")))
    assert table[0] == ["hour", "pm2_5"]
    assert [int(hour) for hour, _ in table[1:]] == [8, 7, 6, 5, 4, 3]
    expected = {r["hour"]: r["pm2_5"] for r in measured}
    assert [repr(float(v)) if v else repr(None) for _, v in table[1:]] == [
        repr(expected[int(hour)]) for hour, _ in table[1:]
    ]
    content = whole(sharing, dataset, ("hour", "pm2_5"), "hour > 2")
    assert {a.trailer.content_sha256 for a in (page, as_csv, as_lines)} == {content.sha256}
    assert {a.trailer.rows for a in (page, as_csv, as_lines)} == {6}
    assert (as_csv.header.file_name, as_lines.header.file_name) == ("air-v1.csv", "air-v1.jsonl")
    as_parquet = await sharing.read(dataset, format=pb.ROW_FORMAT_PARQUET, **asked)
    as_arrow = await sharing.read(dataset, format=pb.ROW_FORMAT_ARROW, **asked)
    typed = pq.read_table(io.BytesIO(as_parquet.body))
    streamed = pa.ipc.open_stream(as_arrow.body).read_all()
    # By their text: NaN is itself in both, and null in JSON.
    assert repr(typed.to_pylist()) == repr(streamed.to_pylist())
    assert {row["hour"]: repr(row["pm2_5"]) for row in typed.to_pylist()} == {
        hour: repr(value) for hour, value in expected.items() if hour > 2
    }
    assert {a.trailer.content_sha256 for a in (as_parquet, as_arrow)} == {content.sha256}
    assert as_parquet.trailer.body_sha256 == hashlib.sha256(as_parquet.body).hexdigest()
    assert (as_parquet.header.content_type, as_parquet.header.file_name) == (
        "application/vnd.apache.parquet",
        "air-v1.parquet",
    )
    assert as_arrow.header.content_type == "application/vnd.apache.arrow.stream"
    assert [e["rows"] for e in await sharing.events(MADE, "dataset", dataset)] == [6] * 5


async def test_an_empty_answer_is_an_answer(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    for form in pb.RowFormat.values():
        answer = await sharing.read(dataset, filter="hour > 99", format=form)
        assert answer.trailer.rows == 0
        assert answer.trailer.content_sha256 == whole(sharing, dataset, None, "hour > 99").sha256


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_pages_hold_every_row_once(sharing: Sharing, measured: Rows, data: st.DataObject) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    names = data.draw(st.lists(st.sampled_from(["station", "hour", "pm2_5", "time"]), unique=True))
    order_by = ", ".join(name + data.draw(st.sampled_from(["", " desc"])) for name in names)
    columns = data.draw(st.sampled_from([[], ["pm2_5", "hour"], ["time"]]))
    asked = {"order_by": order_by, "columns": columns}
    everything = await sharing.read(dataset, format=pb.ROW_FORMAT_JSONL, **asked)
    token, seen, pages = "", [], []
    while not pages or token:
        size = data.draw(st.integers(1, 10))
        pages.append(await sharing.read(dataset, page_size=size, page_token=token, **asked))
        seen += pages[-1].page["rows"]
        token = pages[-1].page["nextPageToken"]
    assert seen == [list(json.loads(line).values()) for line in everything.body.splitlines()]
    content = whole(sharing, dataset, tuple(columns) or None).sha256
    assert [p.trailer.content_sha256 for p in pages] == [*[""] * (len(pages) - 1), content]
    assert everything.trailer.content_sha256 == content
    assert len({p.header.delivery for p in pages}) == 1
    delivered = await sharing.agreements.GetDelivery(
        pb.GetDeliveryRequest(name=pages[0].header.delivery), RPC
    )
    assert (delivered.rows, delivered.content_sha256) == (9, content)


async def test_a_page_asked_for_twice_counts_once(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    asked: dict[str, Any] = {"filter": "hour < 8", "order_by": "pm2_5 desc", "page_size": 3}
    first = await sharing.read(dataset, purpose="winter heating", **asked)
    second = [await sharing.read(dataset, page_token=first.page["nextPageToken"], **asked) for _ in range(2)]
    assert second[0].page["rows"] == second[1].page["rows"]
    name = first.header.delivery

    async def delivery() -> pb.Delivery:
        return await sharing.agreements.GetDelivery(pb.GetDeliveryRequest(name=name), RPC)

    assert ((await delivery()).rows, (await delivery()).content_sha256) == (6, "")
    assert await sharing.events(MADE, "delivery", name) == []
    # A new version in between: the query stays on its own.
    sharing.load([{**measured[0], "hour": 0, "station": "new"}], dataset=dataset)
    last = [
        await sharing.read(dataset, page_token=second[1].page["nextPageToken"], **asked) for _ in range(2)
    ]
    assert [answer.header.version for answer in last] == [1, 1]
    assert {answer.trailer.content_sha256 for answer in last} == {(await delivery()).content_sha256}
    assert (await delivery()).purpose == "winter heating"
    sent = await sharing.events(MADE, "delivery", name)
    assert sent == [
        {
            "subject": name,
            "delivery": name,
            "agreement": first.header.agreement,
            "dataset": dataset,
            "version": 1,
            "rows": 8,
            "content_sha256": (await delivery()).content_sha256,
            "columns": ["station", "hour", "pm2_5", "time"],
            "filter_sha256": hashlib.sha256(b"hour < 8").hexdigest(),
        }
    ]
    assert (await sharing.read(dataset)).header.version == 2


async def test_a_token_of_another_query_is_refused(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    other = sharing.load(measured)
    sharing.be("reader", "transport", "health")
    asked: dict[str, Any] = {"page_size": 2, "reader": "transport", "filter": "hour < 8"}
    token = (await sharing.read(dataset, **asked)).page["nextPageToken"]
    for changes in (
        {"filter": "hour < 7"},
        {"columns": ["hour"]},
        {"order_by": "hour"},
        {"reader": "health"},
        {"version": 2},
        {"dataset": other},
        {"page_token": token[:-2] + ("AA" if token[-2:] != "AA" else "BB")},
    ):
        sharing.load([{**measured[0], "hour": 50}], dataset=dataset) if "version" in changes else None
        with pytest.raises(BadPageToken):
            await sharing.read(**{"dataset": dataset, "page_token": token, **asked, **changes})
    with pytest.raises(PageOfStream):
        await sharing.read(dataset, page_token=token, format=pb.ROW_FORMAT_CSV, **asked)
    assert (await sharing.read(dataset, page_token=token, **asked)).trailer.rows == 2


async def test_without_a_key_there_is_one_page(sharing: Sharing, measured: Rows) -> None:
    keyless = TableSchema((Column("station", FieldType.STRING), Column("hour", FieldType.INTEGER)))
    dataset = sharing.load([{"station": r["station"], "hour": 1} for r in measured], keyless)
    sharing.be("reader", "transport")
    with pytest.raises(PagingImpossible):
        await sharing.read(dataset, page_size=8)
    answer = await sharing.read(dataset, page_size=9)
    assert answer.page["nextPageToken"] == ""
    assert answer.trailer.content_sha256 == whole(sharing, dataset).sha256
    assert (await sharing.read(dataset, format=pb.ROW_FORMAT_CSV)).trailer.rows == 9


async def test_a_grant_may_be_narrower_than_asked(sharing: Sharing, measured: Rows) -> None:
    dataset = sharing.load(measured)
    sharing.be("reader", "transport")
    sharing.security.columns = ("hour", "pm2_5")
    assert (await sharing.read(dataset)).page["columns"] == ["hour", "pm2_5"]
    with pytest.raises(ColumnNotGranted):
        await sharing.read(dataset, filter='station = "b"')
    with pytest.raises(PagingImpossible):
        await sharing.read(dataset, page_size=2)


async def test_a_key_that_is_not_unique_is_found_out(sharing: Sharing, measured: Rows) -> None:
    """The table says that hours are unique, and they are not: the pages lost a row, and that is said."""
    wrong = TableSchema(
        (Column("station", FieldType.STRING), Column("hour", FieldType.INTEGER)), key=("hour",)
    )
    dataset = sharing.load([{"station": s, "hour": 1} for s in "abc"], wrong)
    sharing.be("reader", "transport")
    token = (await sharing.read(dataset, page_size=1)).page["nextPageToken"]
    with pytest.raises(PagesDisagree):
        await sharing.read(dataset, page_size=1, page_token=token)


async def test_a_long_stream_renews_its_grant(sharing: Sharing, many: Rows) -> None:
    dataset = sharing.load(many)
    granter = sharing.security.granter
    sharing.be("reader", "transport")
    request = pb.ReadRowsRequest(dataset=dataset, format=pb.ROW_FORMAT_CSV)
    began, rows, content = granter.now, 0, ""
    async for part in sharing.rows.ReadRows(request, RPC):
        assert len(part.chunk) <= CHUNK_BYTES
        granter.now += timedelta(seconds=40)
        rows, content = part.trailer.rows, part.trailer.content_sha256
    assert granter.now - began > timedelta(seconds=300)
    assert rows == 70_000
    assert content == whole(sharing, dataset).sha256
    assert len(sharing.security.asked) >= 3
    assert len(set(sharing.security.asked)) == 1


async def test_a_stream_ends_with_its_right(
    sharing: Sharing, many: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = sharing.load(many)
    granter = sharing.security.granter
    sharing.be("reader", "transport")

    async def refuse(right: object) -> str:
        raise GrantRefused("agreement", "no longer")

    delivery = ""
    with pytest.raises(GrantRefused):
        async for part in sharing.rows.ReadRows(
            pb.ReadRowsRequest(dataset=dataset, format=pb.ROW_FORMAT_JSONL), RPC
        ):
            delivery = delivery or part.header.delivery
            if part.WhichOneof("part") == "chunk":
                monkeypatch.setattr(sharing.security, "read_grant", refuse)
                granter.now += timedelta(seconds=40)
    found = await sharing.agreements.GetDelivery(pb.GetDeliveryRequest(name=delivery), RPC)
    assert (found.rows, found.content_sha256) == (32_768, "")


async def test_a_stream_outlives_a_short_absence_of_security(
    sharing: Sharing, many: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = sharing.load(many)
    granter, sign, failures = sharing.security.granter, sharing.security.read_grant, []
    sharing.be("reader", "transport")

    async def away(right: object) -> str:
        failures.append(right)
        raise SecurityAway("away")

    content = ""
    async for part in sharing.rows.ReadRows(
        pb.ReadRowsRequest(dataset=dataset, format=pb.ROW_FORMAT_JSONL), RPC
    ):
        if part.WhichOneof("part") == "header":
            # Half of the grant's life is over when the next rows are read.
            monkeypatch.setattr(sharing.security, "read_grant", away)
            granter.now += timedelta(seconds=35)
        if failures:
            monkeypatch.setattr(sharing.security, "read_grant", sign)
            granter.now += timedelta(seconds=10)
        content = part.trailer.content_sha256
    assert failures
    assert content == whole(sharing, dataset).sha256


async def test_a_client_that_goes_away_ends_the_query(sharing: Sharing, many: Rows) -> None:
    dataset = sharing.load(many)
    sharing.be("reader", "transport")
    request = pb.ReadRowsRequest(dataset=dataset, format=pb.ROW_FORMAT_JSONL)
    async with aclosing(sharing.rows.ReadRows(request, RPC)) as parts:
        delivery = (await anext(parts)).header.delivery
        assert (await anext(parts)).chunk
        assert list(reading_threads())
    for _ in range(100):
        if not list(reading_threads()):
            break
        await asyncio.sleep(0.02)
    assert not list(reading_threads())
    found = await sharing.agreements.GetDelivery(pb.GetDeliveryRequest(name=delivery), RPC)
    assert (found.rows, found.content_sha256) == (32_768, "")
    assert await sharing.events(MADE, "delivery", delivery) == []


def reading_threads() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name.startswith("stream"))
