"""The API document: well-formed, and true of what the transcoder does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from google.api import httpbody_pb2
from hypothesis import HealthCheck, Phase, given, settings
from plaza_gateway.openapi import PathTaken, merge_paths, openapi
from plaza_gateway.transcode import Transcoder
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import INTERNAL, PACKAGE, Channel, client, descriptor_set, message

DOCUMENT = openapi(
    descriptor_set(), faces=INTERNAL, title="Library", version="1", servers=["https://x.example"]
)
SCHEMAS = DOCUMENT["components"]["schemas"]
BOOK_PATH = "/api/v1/shelves/{shelf}/books/{book}"
BOOKS_PATH = "/api/v1/shelves/{shelf}/books"
BOOK = message(
    "Book",
    **{
        "name": "shelves/a/books/b",
        "displayName": "水经注",
        "binding": "BINDING_HARD",
        "weightKg": 1.5,
        "rating": "NaN",
        "shop": "s",
        "notes": {"a": [1, None]},
        "loanTime": "1.5s",
        "createTime": "2020-01-01T00:00:00.5Z",
        "prices": {"-1": "Infinity"},
        "rare": False,
        "edition": 2,
        "chapters": [{"title": "c", "parts": [{}]}],
        "score": {},
        "etag": "e",
    },
)
BYTES = httpbody_pb2.HttpBody(content_type="image/png", data=b"x")
ANSWERS: dict[str, Any] = {
    **dict.fromkeys(("GetBook", "CreateBook", "UpdateBook", "LendBook", "ResolveWork"), BOOK),
    "ListBooks": message("ListBooksResponse", books=[{}, {"extra": None}], totalSize=2),
    "GetCover": BYTES,
    "DownloadText": [BYTES],
    "WatchShelf": [message("ShelfEvent", book={})],
}


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        {
            **schema,
            "components": DOCUMENT["components"],
            "$schema": "https://json-schema.org/draft/2020-12/schema",
        },
        validate_formats=True,
    )


def parameters(path: str, verb: str) -> dict[str, Any]:
    return {each["name"]: each for each in DOCUMENT["paths"][path][verb]["parameters"]}


def body_schema(path: str, verb: str) -> dict[str, Any]:
    return DOCUMENT["paths"][path][verb]["requestBody"]["content"]["application/json"]["schema"]


def test_the_document_is_openapi_3_1() -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    json.dumps(DOCUMENT)
    for schema in SCHEMAS.values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "#/components/')[1:]:
        kind, _, name = part.partition('"')[0].partition("/")
        assert name in DOCUMENT["components"][kind]


def test_operations_are_named_tagged_and_told() -> None:
    operations = [each for item in DOCUMENT["paths"].values() for each in item.values()]
    assert len({each["operationId"] for each in operations}) == len(operations) == 11
    assert {each["operationId"] for each in operations} >= {"Library_ResolveWork", "Library_ResolveWork_2"}
    get = DOCUMENT["paths"][BOOK_PATH]["get"]
    assert (get["summary"], get["tags"], get["security"]) == ("Get one book", ["Library"], [{}])
    assert "security" not in DOCUMENT["paths"][BOOKS_PATH]["get"]
    assert DOCUMENT["tags"][0]["description"].startswith("Keeps books on shelves.")
    assert DOCUMENT["servers"] == [{"url": "https://x.example"}]


def test_the_public_document_has_public_routes_only() -> None:
    document = openapi(descriptor_set(), faces=frozenset({"public"}), title="t", version="1")
    assert set(document["paths"][BOOK_PATH]) == {"get"}
    assert f"{PACKAGE}.ShelfEvent" not in document["components"]["schemas"]
    assert "servers" not in document


def test_resource_names_are_one_parameter_a_wildcard() -> None:
    found = parameters(BOOK_PATH, "get")
    assert [found[name]["schema"]["pattern"] for name in ("shelf", "book")] == ["^[a-z0-9-]{1,20}$"] * 2
    assert found["If-None-Match"]["in"] == "header"
    assert "If-Match" in parameters(BOOK_PATH, "delete")
    assert "If-Match" not in parameters(BOOKS_PATH, "post")


def test_queries_are_described() -> None:
    found = parameters(BOOKS_PATH, "get")
    assert found["pageSize"]["schema"] | {"format": ""} == {
        "type": "integer", "format": "", "minimum": 0, "maximum": 100,
    }  # fmt: skip
    assert found["pageSize"]["description"] == "At most this many; 0 leaves it to the library."
    assert found["bindings"]["explode"] is True
    assert "range.from" in found
    assert not any(each["required"] for each in found.values() if each["in"] == "query")
    assert parameters(BOOKS_PATH, "post")["bookId"]["required"] is True


def test_a_mask_lists_what_it_may_name() -> None:
    mask = validator(parameters(BOOK_PATH, "patch")["updateMask"]["schema"])
    for good in ("displayName", "publisher.email,pages", "*", ""):
        assert mask.is_valid(good), good
    for bad in ("name", "createTime", "etag", "display_name", "publisher.nope", "*,pages"):
        assert not mask.is_valid(bad), bad


async def test_answers_are_as_described_defaults_included() -> None:
    empty: dict[str, Any] = dict.fromkeys(ANSWERS, b"")
    schema = {"$ref": f"#/components/schemas/{PACKAGE}.Book"}
    for answers in (ANSWERS, empty):
        async with client(Channel(dict(answers))) as http:
            book = (await http.get("/api/v1/shelves/a/books/b")).json()
            books = (await http.get("/api/v1/shelves/a/books")).json()
        validator(schema).validate(book)
        validator({"$ref": f"#/components/schemas/{PACKAGE}.ListBooksResponse"}).validate(books)
        for name in SCHEMAS[f"{PACKAGE}.Book"]["required"]:
            assert not validator(schema).is_valid({key: each for key, each in book.items() if key != name})


GOOD = {"displayName": "a"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"displayName": ""},
        {**GOOD, "nope": 1},
        {**GOOD, "pages": -1},
        {**GOOD, "printRun": 1},
        {**GOOD, "printRun": "-1"},
        {**GOOD, "tags": ["a"] * 2},
        {**GOOD, "tags": [""]},
        {**GOOD, "titles": {"chinese": "x"}},
        {**GOOD, "binding": 1},
        {**GOOD, "shop": "s", "donor": {"displayName": "d"}},
        {**GOOD, "chapters": [{"font": "f"}]},
        {**GOOD, "chapters": [{"title": "a"}]},
        {**GOOD, "publisher": {"displayName": "p", "email": "no"}},
        {**GOOD, "barcode": "x"},
        {**GOOD, "edition": 0},
        {**GOOD, "rare": None},
    ],
)
async def test_what_the_document_refuses_is_refused(body: dict[str, Any]) -> None:
    assert validator(body_schema(BOOKS_PATH, "post")).is_valid(GOOD)
    assert not validator(body_schema(BOOKS_PATH, "post")).is_valid(body)
    async with client(Channel()) as http:
        assert (await http.post("/api/v1/shelves/a/books?bookId=b", json=GOOD)).status_code == 200
        assert (await http.post("/api/v1/shelves/a/books?bookId=b", json=body)).status_code == 400


def test_a_required_choice_is_exactly_one() -> None:
    lend = validator(body_schema(BOOK_PATH + ":lend", "post"))
    base = {"reader": "r", "days": 7}
    assert lend.is_valid({**base, "phone": "1"})
    assert not lend.is_valid(base)
    assert not lend.is_valid({**base, "phone": "1", "email": "a@b.cn"})
    assert not lend.is_valid({"reader": "r", "phone": "1"}), (
        "days must be one of three, so it cannot be left out"
    )
    assert not lend.is_valid({**base, "phone": "1", "name": "shelves/a/books/b"})


def test_an_update_needs_no_field_in_particular() -> None:
    patch = validator(body_schema(BOOK_PATH, "patch"))
    assert patch.is_valid({"pages": 1})
    assert not patch.is_valid({})
    assert not patch.is_valid({"publisher": {}})


def test_what_the_server_sets_is_read_only() -> None:
    members = SCHEMAS[f"{PACKAGE}.Book-Input"]["properties"]
    assert {name for name, each in members.items() if each.get("readOnly")} == {"name", "createTime", "score"}


def test_streams_and_ready_bytes_say_so() -> None:
    paths = DOCUMENT["paths"]
    watch = paths["/api/v1/shelves/{shelf}:watch"]["get"]["responses"]["200"]["content"]
    assert set(watch) == {"application/x-ndjson", "text/event-stream"}
    assert set(paths[BOOK_PATH + ":cover"]["get"]["responses"]["200"]["content"]) == {"*/*"}


def test_hand_written_paths_are_merged_but_never_over_others() -> None:
    health = {"/healthz": {"get": {"responses": {"204": {"description": "alive"}}}}}
    merged = merge_paths(DOCUMENT, health)
    assert merged["paths"]["/healthz"] == health["/healthz"]
    assert "/healthz" not in DOCUMENT["paths"]
    OPENAPI_31_VALIDATOR.validate(merged)
    with pytest.raises(PathTaken, match="GET /api/v1/shelves"):
        merge_paths(DOCUMENT, {BOOK_PATH: {"get": {}}})


def operations() -> dict[str, Any]:
    """By label, with a fake service behind that says yes to everybody: no security to be checked."""
    open_to_all = json.loads(json.dumps(DOCUMENT))
    del open_to_all["security"]
    schema = schemathesis.openapi.from_dict(open_to_all)
    schema.app = Transcoder(descriptor_set(), {PACKAGE: Channel(ANSWERS)}, face=INTERNAL)  # type: ignore[dict-item]
    return {each.ok().label: each.ok() for each in schema.get_all_operations()}


OPERATIONS = operations()


# A work may be looked up by any text: there is no wrong one to be generated.
CASES = [
    (label, mode)
    for label in sorted(OPERATIONS)
    for mode in schemathesis.GenerationMode
    if not (mode.is_negative and "/works" in label)
]


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_schemathesis_finds_no_lie(label: str, mode: schemathesis.GenerationMode) -> None:
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        # Valid data may still meet a rule that JSON Schema has no words for (422), or a stale etag (412).
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    run()
