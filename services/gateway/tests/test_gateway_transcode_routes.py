from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.transcode.descriptors import ContractError, HttpBinding, Method
from plaza_gateway.transcode.routes import Route, RouteTable, UndecodablePath, parse_template, routes_of

sys.path.insert(0, str(Path(__file__).parent / "protos"))
from gateway_library import contract


def route(verb: str, template: str) -> Route:
    method = Method("a.S.M", "a", "a.S", "M", "a.Q", "a.R", False, "public", False, False, ())
    return Route(method, HttpBinding(verb, template, ""), parse_template(template))


def found(table: RouteTable, verb: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = table.find(path)
    if match is None or verb not in match.routes:
        return None
    hit, values = match.routes[verb]
    return hit.path, values


BOOK = "/v1/{name=shelves/*/books/*}"
LEND = BOOK + ":lend"
RECENT = "/v1/shelves/{shelf}/books/recent"
ANY = "/v1/files/{path=**}"
ONE = "/v1/works/{identifier}"
TABLE = RouteTable(
    [route("GET", BOOK), route("POST", LEND), route("GET", RECENT), route("GET", ANY), route("GET", ONE)]
)


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", "/v1/shelves/a/books/b", (BOOK, {"name": "shelves/a/books/b"})),
        ("POST", "/v1/shelves/a/books/b:lend", (LEND, {"name": "shelves/a/books/b"})),
        ("GET", "/v1/shelves/a/books/recent", (RECENT, {"shelf": "a"})),
        # an id with colons that are no verb
        ("GET", "/v1/shelves/a/books/urn:x:1", (BOOK, {"name": "shelves/a/books/urn:x:1"})),
        ("POST", "/v1/shelves/a/books/urn:x:1:lend", (LEND, {"name": "shelves/a/books/urn:x:1"})),
        ("GET", "/v1/shelves/a/books/b%3Alend", (BOOK, {"name": "shelves/a/books/b:lend"})),
        # a slash inside a segment: kept encoded in a name of several segments, decoded in a single one
        ("GET", "/v1/shelves/a%2Fb/books/c", (BOOK, {"name": "shelves/a%2Fb/books/c"})),
        ("GET", "/v1/works/a%2Fb%20c", (ONE, {"identifier": "a/b c"})),
        ("GET", "/v1/files/a/b/c", (ANY, {"path": "a/b/c"})),
        ("GET", "/v1/shelves/%E7%A9%BA/books/%E6%B0%94", (BOOK, {"name": "shelves/空/books/气"})),
        ("GET", "/v1/shelves/a/books/", None),
        ("GET", "/v1/shelves//books/b", None),
        ("GET", "/v1/shelves/a/books/b/", None),
        ("GET", "/v1/files", None),
        ("GET", "/v1/shelves/a/books/b:lend", None),
    ],
)
def test_a_raw_path_finds_its_route(verb: str, path: str, expected: object) -> None:
    assert found(TABLE, verb, path) == expected


def test_the_allow_header_names_what_the_path_takes() -> None:
    table = RouteTable([route("GET", BOOK), route("PATCH", "/v1/{book.name=shelves/*/books/*}")])
    match = table.find("/v1/shelves/a/books/b")
    assert match is not None
    assert match.allow == "GET, HEAD, OPTIONS, PATCH"


def test_a_path_that_is_not_utf8_is_said_so() -> None:
    with pytest.raises(UndecodablePath):
        TABLE.find("/v1/works/%FF")


def test_two_methods_on_one_path_are_refused() -> None:
    with pytest.raises(ContractError, match="claim GET"):
        RouteTable([route("GET", "/v1/a/{x}"), route("GET", "/v1/a/{y=*}")])


@pytest.mark.parametrize("text", ["v1/a", "/v1/{a", "/v1/x{a}", "/v1/{a=**}/b", "/v1//b", "/v1/{a}b"])
def test_a_template_that_cannot_be_matched_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_template(text)


@given(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1))
def test_any_id_arrives_as_it_was_sent(identifier: str) -> None:
    from urllib.parse import quote

    assert found(TABLE, "GET", "/v1/works/" + quote(identifier, safe="")) == (ONE, {"identifier": identifier})


def test_the_public_face_serves_no_internal_route() -> None:
    public = {each.full_name for each in routes_of(contract().methods, frozenset({"public"}))}
    everything = {each.full_name for each in routes_of(contract().methods, frozenset({"internal"}))}
    assert {name.rpartition(".")[2] for name in everything - public} == {
        "CreateBook", "UpdateBook", "DeleteBook", "LendBook", "WatchShelf",
    }  # fmt: skip
    assert public < everything
