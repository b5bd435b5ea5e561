"""Values of cells and aggregates as JSON can hold them, each coming back as itself: a float exactly, NaN too."""

from __future__ import annotations

from datetime import date, datetime

from plaza_lake.ir import Scalar


def written(value: object) -> list[str] | None:
    """Type and text. Raises TypeError for what is no scalar."""
    match value:
        case None:
            return None
        case bool():
            return ["bool", "1" if value else ""]
        case int():
            return ["int", str(value)]
        case float():
            return ["float", value.hex()]
        case datetime():
            return ["datetime", value.isoformat()]
        case date():
            return ["date", value.isoformat()]
        case str():
            return ["str", value]
    raise TypeError(f"no scalar is a {type(value).__name__}")


def read(found: object) -> Scalar | None:
    """The inverse. Raises ValueError."""
    match found:
        case None:
            return None
        case ["bool", str(text)]:
            return bool(text)
        case ["int", str(text)]:
            return int(text)
        case ["float", str(text)]:
            return float.fromhex(text)
        case ["datetime", str(text)]:
            return datetime.fromisoformat(text)
        case ["date", str(text)]:
            return date.fromisoformat(text)
        case ["str", str(text)]:
            return text
    raise ValueError(f"{found!r} is no value that was written here")
