"""What the pages of source systems and code lists show, as plain values; pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from plaza.catalogue.v1 import code_lists_pb2 as cl
from plaza.catalogue.v1 import source_systems_pb2 as sy
from plaza_design.i18n import LocalText

from plaza_gateway.console.views import last, moment, word

COMPARED = ("name", "name_en", "parent", "valid_from", "valid_to")
"""Facts of a code, in the order of its columns."""
SYSTEM_FIELDS = ("display_name", "display_name_en", "class", "owner", "vendor", "description", "state")
"""As versions of a source system name them."""

_ENUM = re.compile(r"SOURCE_SYSTEM_(?:CLASS|STATE)_([A-Z_]+)", re.ASCII)

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class SystemView:
    """A source system."""

    id: str
    title: LocalText
    class_: str
    owner: str
    vendor: str
    description: str
    retired: bool
    version: int
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SystemChange:
    """A version of a source system: who changed what."""

    version: int
    author: str
    at: datetime | None
    differences: tuple[tuple[str, str, str], ...]
    """Field, before, after."""


@dataclass(frozen=True, slots=True)
class ListView:
    """A version of a code list."""

    id: str
    version: str
    title: LocalText
    standard: str
    edition: str
    description: str
    source: str
    licence: str
    sha256: str
    count: int
    shipped: bool
    author: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A code that two versions do not say the same of."""

    change: Change
    code: str
    name: str
    facts: tuple[tuple[str, str, str], ...] = ()
    """Of a changed one: fact, before, after."""


def system_view(found: sy.SourceSystem) -> SystemView:
    """From the catalogue's message."""
    return SystemView(
        id=last(found.name),
        title=LocalText(found.display_name, found.display_name_en),
        class_=word(sy.SourceSystemClass, getattr(found, "class"), "SOURCE_SYSTEM_CLASS_"),
        owner=found.owner,
        vendor=found.vendor,
        description=found.description,
        retired=found.state == sy.SOURCE_SYSTEM_STATE_RETIRED,
        version=found.metadata_version,
        updated_at=moment(found, "update_time"),
    )


def system_change(found: sy.SourceSystemVersion) -> SystemChange:
    """From the catalogue's message."""
    return SystemChange(
        found.version,
        found.author,
        moment(found, "create_time"),
        tuple((one.field, _plain(one.old_value), _plain(one.new_value)) for one in found.differences),
    )


def _plain(value: str) -> str:
    """Names of enum values as the pages know them: `SOURCE_SYSTEM_CLASS_IOT` → `iot`."""
    found = _ENUM.fullmatch(value)
    return found[1].lower() if found is not None else value


def list_view(found: cl.CodeListVersion) -> ListView:
    """From the catalogue's message."""
    _, id_, _, version = found.name.split("/")
    return ListView(
        id=id_,
        version=version,
        title=LocalText(found.display_name, found.display_name_en),
        standard=found.standard,
        edition=found.edition,
        description=found.description,
        source=found.source,
        licence=found.licence,
        sha256=found.sha256,
        count=found.code_count,
        shipped=found.shipped,
        author=found.author,
        at=moment(found, "create_time"),
    )


def differences(older: Iterable[cl.Code], newer: Iterable[cl.Code]) -> tuple[Difference, ...]:
    """How two versions differ, in the newer one's order, then what it lacks in the older one's. A code that has several
    rows in one of them, each with another first day, is compared row by row."""
    given, now = list(older), list(newer)
    several = _several(given) | _several(now)
    before, after = _by_row(given, several), _by_row(now, several)
    found: list[Difference] = []
    for row, code in after.items():
        was = before.get(row)
        if was is None:
            found.append(Difference("added", code.code, code.name))
        elif facts := tuple(_facts(was, code)):
            found.append(Difference("changed", code.code, code.name, facts))
    gone = [Difference("removed", code.code, code.name) for row, code in before.items() if row not in after]
    return (*found, *gone)


def counted(found: Iterable[Difference]) -> Mapping[Change, int]:
    """How many of each kind."""
    counts: dict[Change, int] = {"added": 0, "changed": 0, "removed": 0}
    for one in found:
        counts[one.change] += 1
    return counts


def _several(codes: Iterable[cl.Code]) -> set[str]:
    """Codes with more than one row."""
    return {code for code, rows in Counter(one.code for one in codes).items() if rows > 1}


def _by_row(codes: Iterable[cl.Code], several: set[str]) -> dict[tuple[str, str], cl.Code]:
    """Where a code has one row, another first day is a change of it and not another row."""
    return {(code.code, code.valid_from if code.code in several else ""): code for code in codes}


def _facts(before: cl.Code, after: cl.Code) -> Iterable[tuple[str, str, str]]:
    for name in COMPARED:
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield name, was, now
