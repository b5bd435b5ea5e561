"""Both codecs say the same, and the strict reader lets nothing through that they cannot read."""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_gateway.transcode.codec import FastCodec, PlainCodec, Unreadable
from plaza_gateway.transcode.prewalk import Walk
from plaza_gateway.transcode.shapes import FieldShape, Kind, MessageShape, Shapes, enum_names

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import PACKAGE, contract, descriptor_set, message

FAST = FastCodec(descriptor_set())
PLAIN = PlainCodec(contract())
SHAPES = Shapes(contract())
BOOK = SHAPES[f"{PACKAGE}.Book"]

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | TEXT | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SCALARS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    Kind.INT64: st.integers(-(2**63), 2**63 - 1).map(str),
    Kind.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    Kind.FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
    Kind.BOOL: st.booleans(),
    Kind.STRING: TEXT,
    Kind.BYTES: st.sampled_from(["", "AA==", "AAE=", "AAEC", "+/+/"]),
    Kind.TIMESTAMP: st.datetimes().map(lambda each: each.isoformat() + "Z"),
    Kind.DURATION: st.sampled_from(["0s", "1s", "-1.5s", "0.000000001s", "315576000000s"]),
    Kind.STRUCT: st.dictionaries(TEXT, JSON, max_size=3),
    Kind.VALUE: JSON,
}


def value_of(field: FieldShape, depth: int) -> st.SearchStrategy[Any]:
    if field.message is not None:
        return message_of(field.message, depth - 1)
    if field.kind is Kind.ENUM:
        return st.sampled_from(sorted(enum_names(field)))
    return SCALARS[field.kind]


def member_of(field: FieldShape, depth: int) -> st.SearchStrategy[Any]:
    if field.map_key is not None:
        keys = st.integers(-99, 99).map(str) if field.map_key is Kind.INT32 else TEXT
        return st.dictionaries(keys, value_of(field, depth), max_size=2)
    return st.lists(value_of(field, depth), max_size=2) if field.repeated else value_of(field, depth)


def message_of(shape: MessageShape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    if depth == 0:
        return st.just({})
    members = {each.json_name: member_of(each, depth) for each in shape.fields}

    def keep_one(document: dict[str, Any]) -> dict[str, Any]:
        for names in shape.oneofs.values():
            for extra in [each.json_name for each in names if each.json_name in document][1:]:
                del document[extra]
        return document

    return st.fixed_dictionaries({}, optional=members).map(keep_one)


def canonical(text: bytes) -> Any:
    """JSON without regard to the order of keys and to the digits beyond single precision."""
    document = json.loads(text)

    def walk(value: Any) -> None:
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)
        if isinstance(value, dict) and isinstance(value.get("rating"), float):
            value["rating"] = struct.pack("f", value["rating"])

    walk(document)
    return document


@settings(max_examples=50, deadline=None)
@given(message_of(BOOK, 2))
def test_both_codecs_read_and_write_the_same(document: dict[str, Any]) -> None:
    fast, plain = FAST.decode(BOOK.full_name, document), PLAIN.decode(BOOK.full_name, document)
    written = [codec.encode(BOOK.full_name, each.wire) for codec in (FAST, PLAIN) for each in (fast, plain)]
    assert all(canonical(each.json) == canonical(written[0].json) for each in written)
    assert {each.etag for each in written} == {document.get("etag", "")}


NEARLY = st.dictionaries(
    st.sampled_from(sorted([*BOOK.by_json, "display_name", "nope"])),
    JSON
    | st.sampled_from(["5", "1s", "2020-01-01T00:00:00Z", "AAE=", "BINDING_HARD", math.inf, 2**40, 10**400]),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(NEARLY | st.recursive(JSON, lambda inner: st.dictionaries(st.just("chapters"), inner)))
def test_what_the_strict_reader_passes_both_codecs_read_alike(document: Any) -> None:
    walk = Walk()
    clean = walk.message(BOOK, document, partial=True)
    if walk.complaints:
        return
    fast, plain = FAST.decode(BOOK.full_name, clean), PLAIN.decode(BOOK.full_name, clean)
    written = [FAST.encode(BOOK.full_name, each.wire).json for each in (fast, plain)]
    assert canonical(written[0]) == canonical(written[1])


@pytest.mark.parametrize("codec", [FAST, PLAIN])
def test_fields_without_presence_are_always_written(codec: FastCodec | PlainCodec) -> None:
    document = json.loads(codec.encode(BOOK.full_name, b"").json)
    assert set(document) == {each.json_name for each in BOOK.fields if not each.explicit}
    assert document["printRun"] == "0"
    assert document["binding"] == "BINDING_UNSPECIFIED"


@pytest.mark.parametrize("codec", [FAST, PLAIN])
def test_the_etag_comes_along(codec: FastCodec | PlainCodec) -> None:
    wire = message("Book", etag="e1").SerializeToString()
    assert codec.encode(BOOK.full_name, wire).etag == "e1"
    assert codec.encode(f"{PACKAGE}.Chapter", b"").etag == ""


@pytest.mark.parametrize("codec", [FAST, PLAIN])
def test_bytes_that_are_no_message_are_said_so(codec: FastCodec | PlainCodec) -> None:
    with pytest.raises(Unreadable):
        codec.encode(BOOK.full_name, b"\xff\xff\xff")
    with pytest.raises(Unreadable):
        codec.decode(BOOK.full_name, {"pages": "many"})
