"""Values written as texts, as rules of a contract write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from plaza_lake.ir import Scalar


def value_text(value: Scalar | None, longest: int) -> str:
    """Numbers in their shortest form, days and moments as in ISO 8601 with Z, true and false; a text is cut after so
    many characters. Empty without a value."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value + 0.0).removesuffix(".0")
        case datetime():
            return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
        case date():
            return value.isoformat()
        case str():
            return value[:longest]
    return str(value)
