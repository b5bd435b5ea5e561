"""Dates and moments of a database under a contract that says how its files write them.

A worker writes them as ISO 8601 does (`worker/pull_postgres`), whatever the contract's `parse_time` declares; a column
of texts comes as it is. So such a step reads both: the declared formats first, then what the worker writes. A format
that reads the worker's own texts as something else would bend dates in silence, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza_kit.errors import FailedPrecondition
from plaza_kit.time_formats import BadTimeFormat, Part, TimeFormat, time_format

_DATES: Final = ("%Y-%m-%d",)
_WITH_OFFSET: Final = ("%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f%z")
_IN_ZONE: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d")
_EXAMPLES: Final = (
    # No two parts are alike, so that a text read in another order gives another moment.
    ("2024-05-06", {"year": 2024, "month": 5, "day": 6}),
    (
        "2024-05-06 07:08:09",
        {"year": 2024, "month": 5, "day": 6, "hour": 7, "minute": 8, "second": 9},
    ),
    (
        "2024-05-06 07:08:09.123456",
        {"year": 2024, "month": 5, "day": 6, "hour": 7, "minute": 8, "second": 9, "fraction": 123456},
    ),
    (
        "2024-05-06 07:08:09+00",
        {"year": 2024, "month": 5, "day": 6, "hour": 7, "minute": 8, "second": 9, "offset": 0},
    ),
    (
        "2024-05-06 07:08:09.123456+00",
        {
            "year": 2024,
            "month": 5,
            "day": 6,
            "hour": 7,
            "minute": 8,
            "second": 9,
            "fraction": 123456,
            "offset": 0,
        },
    ),
)


class TimesAmbiguous(FailedPrecondition):
    """A declared format reads a database's dates as other dates."""


def contract_of_database(contract: contract_pb2.Contract) -> contract_pb2.Contract:
    """The contract, each `parse_time` of which reads what a worker writes, too: for rows of a database, and for
    refused ones that come back repaired. Raises TimesAmbiguous."""
    wider = contract_pb2.Contract()
    wider.CopyFrom(contract)
    types = {field.name: field.type for field in wider.fields}
    for index, step in enumerate(wider.steps):
        if step.WhichOneof("kind") != "parse_time":
            continue
        declared = step.parse_time
        for text in declared.formats:
            _check(text, f"contract.steps[{index}].parse_time of {declared.field}")
        if types.get(declared.field) == contract_pb2.FIELD_TYPE_DATE:
            written = _DATES
        else:
            written = (*_WITH_OFFSET, *(_IN_ZONE if declared.zone else ()))
        declared.formats.extend([text for text in written if text not in declared.formats])
    return wider


def _check(text: str, place: str) -> None:
    try:
        declared = time_format(text)
    except BadTimeFormat:
        return  # the worker's own check says so
    for example, meant in _EXAMPLES:
        read = _read(declared, example)
        if read is not None and read != meant:
            raise TimesAmbiguous(
                f"{place}: the format {text!r} would read {example!r}, which is how a database's times arrive"
                " (year, month, day), as another time",
                remedy="adopt a contract version without this format, or fill a dataset of its own from the database",
                facts={"format": text, "text": example},
            )


def _read(declared: TimeFormat, text: str) -> Mapping[str, int] | None:
    pattern = "".join(
        f"(?P<{piece.name}>{_SIGNS[piece.name == 'offset']}{{{min(piece.widths)},{max(piece.widths)}}})"
        if isinstance(piece, Part)
        else re.escape(piece)
        for piece in declared.pieces
    )
    match = re.fullmatch(pattern, text)
    return {name: int(found) for name, found in match.groupdict().items()} if match else None


_SIGNS: Final = {False: "[0-9]", True: "[0-9+:-]"}
