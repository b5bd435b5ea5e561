"""Rows of a work order that go out to be corrected and come in again: how a line names the row that it was made of.

The name is made of the work order, of the row's key and of what the row said. So it shows, without anything being
kept, whether a line came from this file, whether somebody edited name or key, and whether the row in the table is
still the one that the officer saw. It guards against mistakes, not against its owner, who may load any row anyway.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson
from plaza_kit.errors import FailedPrecondition

NOT_IN_FILE: Final = "not_in_file"
"""Reason of a line whose `plaza_row` names no row that a correction file held."""
OTHER_WORK_ORDER: Final = "other_work_order"
IDENTITY_EDITED: Final = "identity_edited"
"""`plaza_row` or a field of the key is not what the file said."""
CHANGED_MEANWHILE: Final = "changed_meanwhile"
"""The row in the table is not the one that the file showed any more, or is gone."""
UNCHANGED: Final = "unchanged"
"""The line says what the table says."""

_NAME: Final = re.compile(r"([0-9a-f]{12})-([1-9][0-9]{0,8})-([0-9a-f]{12})-([0-9a-f]{16})")


class NoKey(FailedPrecondition):
    """Rows of a table without a key cannot be told apart once the table has changed."""

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"{dataset} has no key: a corrected row cannot find the one that it corrects",
            remedy="correct the rows where they come from and load them in mode replace, or register a contract"
            " with a key",
        )


class WorkOrderClosed(FailedPrecondition):
    """The work order is closed: a newer version was good."""


class Identity(NamedTuple):
    """What `plaza_row` of a correction file holds."""

    order: str
    """The last twelve digits of the work order's id."""
    version: int
    """In which the row stood."""
    key: str
    """Of work order, version and key."""
    content: str
    """Of the row."""

    def __str__(self) -> str:
        return f"{self.order}-{self.version}-{self.key}-{self.content}"

    @classmethod
    def parse(cls, text: str) -> Identity | None:
        """None for what no correction file holds."""
        match = _NAME.fullmatch(text.strip())
        return cls(match[1], int(match[2]), match[3], match[4]) if match else None

    @classmethod
    def of(cls, order: str, version: int, key: Sequence[str], row: Mapping[str, object]) -> Identity:
        """The name of a row; `order`: the work order's resource name."""
        return cls(tail(order), version, key_digest(order, version, key, row), digest(row))


def tail(order: str) -> str:
    """The part of a work order's name that lines carry."""
    return order[-12:]


def digest(row: Mapping[str, object]) -> str:
    """Of what a row says. A field without a value says nothing, so that a field more in the contract changes no row."""
    return hashlib.sha256(said(row)).hexdigest()[:16]


def said(row: Mapping[str, object]) -> bytes:
    """The same bytes for the same values."""
    present = {name: value for name, value in row.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_SORT_KEYS)


def key_digest(order: str, version: int, key: Sequence[str], row: Mapping[str, object]) -> str:
    """Of the work order, the version, and the row's values of the key."""
    parts = [order, version, *(row.get(name) for name in key)]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:12]


def refusal(
    order: str, key: Sequence[str], line: Mapping[str, object], name: str, stored: Mapping[str, object] | None
) -> tuple[str, str]:
    """Reason and words why a line does not take its row's place; two empty texts when it does.

    `line`: the new values; `stored`: the row that has the line's key now, None for none.
    """
    found = Identity.parse(name)
    if found is None:
        return NOT_IN_FILE, "its plaza_row names no row of a correction file"
    if found.order != tail(order):
        return OTHER_WORK_ORDER, "its plaza_row is of another work order"
    if found.key != key_digest(order, found.version, key, line):
        return (
            IDENTITY_EDITED,
            f"plaza_row or the key ({', '.join(key)}) was edited; they must stay as they were",
        )
    if stored is None:
        return CHANGED_MEANWHILE, f"the row is in the table no more since version {found.version}"
    if found.content != digest(stored):
        return CHANGED_MEANWHILE, f"the row has changed in the table since version {found.version}"
    if said(line) == said(stored):
        return UNCHANGED, "it says what the table says"
    return "", ""
