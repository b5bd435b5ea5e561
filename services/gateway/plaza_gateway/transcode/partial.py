"""Reading in part: `fields=name,releases.version` answers these members only (AIP-157, as a query parameter).

The answer has a media type of its own, for it keeps no promise of the whole: members that the API document calls
required are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from plaza_gateway.transcode.problems import Complaint, Problem
from plaza_gateway.transcode.queries import pairs
from plaza_gateway.transcode.shapes import MessageShape

PARAMETER = "fields"
MEDIA_TYPE = "application/vnd.plaza.partial+json"
LONGEST = 2048
"""Characters of the parameter."""

Tree = Mapping[str, "Tree | None"]
"""Members to answer; None: with all that is in them."""


@dataclass(frozen=True, slots=True)
class Partial:
    """Which members of an answer are wanted."""

    tree: Tree

    def of(self, body: bytes) -> bytes:
        """The JSON object with these members only."""
        return orjson.dumps(_pruned(orjson.loads(body), self.tree))


def split(query: bytes, answer: MessageShape) -> tuple[bytes, Partial | None]:
    """The query without `fields`, and what that asks for. Raises Problem (400): unknown members, given twice."""
    if f"{PARAMETER}=".encode() not in query:
        return query, None
    given = list(pairs(query))
    texts = [text for name, text in given if name == PARAMETER]
    if not texts:
        return query, None
    rest = "&".join(f"{quote(n, safe='')}={quote(t, safe='')}" for n, t in given if n != PARAMETER).encode()
    if len(texts) > 1:
        raise _wrong("may be given once only")
    return rest, parse(texts[0], answer)


def parse(text: str, answer: MessageShape) -> Partial | None:
    """`name,releases.version`; `*` is everything. In lists a name means each item's member. Raises
    Problem: 400, or 422 for an unknown member of a member."""
    if text == "*":
        return None
    if len(text) > LONGEST:
        raise _wrong(f"has more than {LONGEST} characters")
    tree: dict[str, Any] = {}
    for path in text.split(","):
        _check(path, answer)
        _plant(tree, path.split("."))
    return Partial(tree)


def _check(path: str, answer: MessageShape) -> None:
    shape: MessageShape | None = answer
    for name in path.split("."):
        field = shape.by_json.get(name) if shape else None
        if field is None:
            known = ", ".join(shape.by_json) if shape else "none below"
            raise _wrong(
                f"names {path[:100]}, which is unknown; known are {known}", 400 if shape is answer else 422
            )
        # Keys of maps are data: below them nothing can be named.
        shape = field.message if field.map_key is None else None


def _plant(tree: dict[str, Any], names: list[str]) -> None:
    for name in names[:-1]:
        below = tree.setdefault(name, {})
        if below is None:
            return
        tree = below
    tree[names[-1]] = None


def _pruned(value: Any, tree: Tree | None) -> Any:
    if tree is None:
        return value
    if isinstance(value, list):
        return [_pruned(each, tree) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _pruned(each, tree[name]) for name, each in value.items() if name in tree}


def _wrong(detail: str, status: int = 400) -> Problem:
    return Problem.of_complaints((Complaint("query", PARAMETER, detail),), status)
