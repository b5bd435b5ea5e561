"""Rules without a socket: who reads for whom, what is shared, terms, orders, page tokens."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.names import DatasetName, DepartmentId
from plaza_kit.paging import BadPageToken
from plaza_lake.access import ColumnNotGranted
from plaza_lake.ir import UnknownField
from plaza_lake.order_text import BadOrder, parse_order
from plaza_lake.schema import Column, FieldType, TableSchema
from plaza_sharing.domain.agreements import AgreementId, by_rule, signed
from plaza_sharing.domain.deliveries import Delivery, DeliveryId, made
from plaza_sharing.domain.names import UnknownAgreement, UnknownDelivery, parse_agreement, parse_delivery
from plaza_sharing.domain.page_tokens import Mark, binding, seal, unseal
from plaza_sharing.domain.queries import PagingImpossible, Query
from plaza_sharing.domain.sharing import (
    Dataset,
    ForeignReader,
    NotShared,
    OwnerOnly,
    ReaderAmbiguous,
    SharedOnCondition,
    check_shared,
    reading_department,
)

AIR = DatasetName.parse("departments/ecology/datasets/air")
SCHEMA = TableSchema(
    (
        Column("station", FieldType.STRING),
        Column("hour", FieldType.INTEGER),
        Column("pm2_5", FieldType.NUMBER),
        Column("raw", FieldType.BYTES),
    ),
    key=("station", "hour"),
)
AGREEMENT = by_rule(
    AgreementId(UUID("01920000-0000-7000-8000-000000000001")),
    AIR,
    DepartmentId("transport"),
    datetime(2026, 1, 1, tzinfo=UTC),
)
KEY = hashlib.sha256(b"a key").digest()


def test_for_which_department_somebody_reads() -> None:
    assert reading_department(AIR, {"ecology", "transport"}, "") == "ecology"
    assert reading_department(AIR, {"transport"}, "") == "transport"
    assert reading_department(AIR, {"ecology", "transport"}, "departments/transport") == "transport"
    assert reading_department(AIR, {"ecology", "transport"}, "transport") == "transport"
    with pytest.raises(ReaderAmbiguous) as ambiguous:
        reading_department(AIR, {"transport", "health"}, "")
    assert "health, transport" in ambiguous.value.message
    with pytest.raises(ForeignReader):
        reading_department(AIR, {"transport"}, "departments/health")
    with pytest.raises(ForeignReader):
        reading_department(AIR, set(), "")


@pytest.mark.parametrize(
    ("level", "sharing_class", "refusal"),
    [
        ("public", "conditional", SharedOnCondition),
        ("sensitive", "conditional", SharedOnCondition),
        ("public", "not_shared", NotShared),
        ("sensitive", "unconditional", OwnerOnly),
        ("core", "unconditional", OwnerOnly),
        ("", "unconditional", OwnerOnly),
        ("public", "", OwnerOnly),
    ],
)
def test_what_is_not_shared_by_rule(level: str, sharing_class: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal) as raised:
        check_shared(Dataset(AIR, level, sharing_class))
    assert "ecology" in raised.value.remedy  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", ["public", "internal"])
def test_what_is_shared_by_rule(level: str) -> None:
    check_shared(Dataset(AIR, level, "unconditional"))


def test_the_hash_of_terms_is_fixed() -> None:
    # As anybody recomputes it: sorted members, no blanks, UTF-8.
    text = json.dumps(AGREEMENT.terms, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert AGREEMENT.content_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert AGREEMENT.content_sha256 == "ff23c69684f51528cc19f42d78063e4f75854602a3477b6094ec747b84400dee"
    others = [
        replace(AGREEMENT, consumer=DepartmentId("health")),
        replace(AGREEMENT, clauses=AGREEMENT.clauses[:-1]),
        replace(AGREEMENT, purpose="a purpose"),
        replace(AGREEMENT, dataset=DatasetName.parse("departments/ecology/datasets/water")),
    ]
    assert len({AGREEMENT.content_sha256, *(other.content_sha256 for other in others)}) == 5
    # Neither its state nor the time are terms.
    assert replace(AGREEMENT, state="ended", event_id="x").content_sha256 == AGREEMENT.content_sha256
    assert signed(AGREEMENT) == {
        "agreement": "agreements/01920000-0000-7000-8000-000000000001",
        "dataset": "departments/ecology/datasets/air",
        "provider": "departments/ecology",
        "consumer": "departments/transport",
        "state": "in_force",
        "basis": "rule",
        "content_sha256": AGREEMENT.content_sha256,
    }


def test_a_delivery_tells_nothing_of_its_filter_but_the_hash() -> None:
    delivery = Delivery(
        id=DeliveryId(UUID(int=7)),
        agreement=AGREEMENT.id,
        dataset=AIR,
        version=3,
        columns=("hour",),
        filter='station = "somebody"',
        purpose="somebody's case",
        principal="people/chen",
        create_time=AGREEMENT.create_time,
    )
    data = made(delivery, 12, "ab")
    assert data == {
        "delivery": f"agreements/{AGREEMENT.id}/deliveries/00000000-0000-0000-0000-000000000007",
        "agreement": f"agreements/{AGREEMENT.id}",
        "dataset": str(AIR),
        "version": 3,
        "rows": 12,
        "content_sha256": "ab",
        "columns": ["hour"],
        "filter_sha256": hashlib.sha256(delivery.filter.encode()).hexdigest(),
    }


def test_names_that_name_nothing() -> None:
    assert parse_agreement(AGREEMENT.name) == AGREEMENT.id
    for bad in ("-" * 36, "0" * 36, "0192000000007000-8000-0000-00000000-1", f"{AGREEMENT.id}0"[1:]):
        with pytest.raises(UnknownAgreement):
            parse_agreement(f"agreements/{bad}")
        with pytest.raises(UnknownDelivery):
            parse_delivery(f"{AGREEMENT.name}/deliveries/{bad}")


def test_orders() -> None:
    assert parse_order("", SCHEMA) == ()
    assert parse_order(" station ,hour  desc", SCHEMA) == (("station", False), ("hour", True))
    for bad in ("station asc", "station,", "station, station desc", "station;hour", ","):
        with pytest.raises(BadOrder):
            parse_order(bad, SCHEMA)
    with pytest.raises(UnknownField):
        parse_order("stations", SCHEMA)


def query(**asked: Any) -> Query:
    return Query.of(AIR, 1, SCHEMA, **asked)


def test_what_a_grant_must_cover() -> None:
    assert query().needed == ()
    asked = query(columns=("pm2_5",), filter="hour > 3", order_by="pm2_5 desc")
    assert asked.needed == ("station", "hour", "pm2_5")
    assert asked.sort == (("pm2_5", True), ("station", False), ("hour", False))
    assert asked.page_columns == ("pm2_5", "station", "hour")
    with pytest.raises(UnknownField):
        query(columns=("nothing",))


def test_within_a_grant() -> None:
    asked = query(columns=("pm2_5",), order_by="hour")
    assert asked.narrowed(None) == asked
    assert asked.narrowed(("hour", "pm2_5")).sort == (("hour", False),)
    assert query().narrowed(("pm2_5", "hour")).columns == ("hour", "pm2_5")
    for narrow in (("hour",), ("pm2_5",)):
        with pytest.raises(ColumnNotGranted):
            asked.narrowed(narrow)


def test_when_one_scan_gives_the_asked_and_the_canonical_order() -> None:
    assert query().is_canonical
    assert query(order_by="station").is_canonical
    assert query(columns=("hour", "station")).is_canonical
    assert not query(order_by="station desc").is_canonical
    assert not query(columns=("hour",)).is_canonical  # by the key, which the columns do not hold


def test_paging_needs_the_key() -> None:
    query(columns=("pm2_5",)).check_pageable()
    for impossible in (query().narrowed(("hour", "pm2_5")), query(order_by="raw")):
        with pytest.raises(PagingImpossible) as raised:
            impossible.check_pageable()
        assert "CSV" in raised.value.remedy


SCALARS = (
    st.none()
    | st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.booleans()
    | st.dates(date(1, 1, 1))
    | st.datetimes(timezones=st.just(UTC))
)
MARKS = st.builds(
    Mark,
    version=st.integers(1, 2**31 - 1),
    before=st.integers(0, 2**53),
    position=st.lists(SCALARS, max_size=5).map(tuple),
    delivery=st.none() | st.uuids().map(DeliveryId),
)


@given(MARKS)
def test_a_token_opens_to_what_was_sealed(mark: Mark) -> None:
    bound = binding(query(), "transport")
    # NaN is not equal to itself: compare what is written. In UTC no hour comes twice.
    position = tuple(v.replace(fold=0) if isinstance(v, datetime) else v for v in mark.position)
    mark = replace(mark, position=position)
    assert repr(unseal(seal(mark, KEY, bound), KEY, bound)) == repr(mark)


MARK = Mark(1, 100, ("东城", 5), DeliveryId(UUID(int=1)))


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    bound = binding(query(), "transport")
    raw = bytearray(base64.urlsafe_b64decode(seal(MARK, KEY, bound) + "=="))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadPageToken):
        unseal(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), KEY, bound)


@given(st.text(max_size=80))
def test_no_text_is_a_token(token: str) -> None:
    with pytest.raises(BadPageToken):
        unseal(token, KEY, binding(query(), "transport"))


def test_a_token_is_bound_to_its_query_and_reader() -> None:
    token = seal(MARK, KEY, binding(query(), "transport"))
    others = [
        binding(query(filter="hour > 1"), "transport"),
        binding(query(columns=("station", "hour")), "transport"),
        binding(query(order_by="hour"), "transport"),
        binding(query(), "health"),
        binding(replace(query(), dataset=DatasetName.parse("departments/ecology/datasets/b")), "transport"),
    ]
    for other in others:
        with pytest.raises(BadPageToken):
            unseal(token, KEY, other)


def test_a_position_too_long_for_a_token() -> None:
    with pytest.raises(PagingImpossible):
        seal(replace(MARK, position=("x" * 4000,)), KEY, b"")
