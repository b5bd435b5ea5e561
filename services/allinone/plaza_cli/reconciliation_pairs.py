"""How people write which columns are compared: `income=revenue~1%`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .failures import WrongUse

_COLUMN = r"[a-z][a-z0-9_]{0,62}"
_PAIR = re.compile(rf"({_COLUMN})(?:=({_COLUMN}))?(?:~([0-9]+(?:\.[0-9]+)?)(%|s|m|h|d)?)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FOLDS = {"case": "foldCase", "width": "foldWidth", "blanks": "foldBlanks"}
_CODE_LIST = re.compile(r"codeLists/[a-z][a-z0-9-]{0,62}(?:/versions/[1-9][0-9]{0,8})?", re.ASCII)


def column_pairs(
    keys: Sequence[str], fields: Sequence[str], folds: Sequence[str], maps: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Key and compared columns as the API writes them. Raises `WrongUse`."""
    found = [
        [_pair(text, option) for text in texts] for option, texts in (("--key", keys), ("--field", fields))
    ]
    for text in folds:
        column, said = _of_column(text, "--fold")
        for name in said.split(","):
            if name not in _FOLDS:
                raise WrongUse(f"--fold {text}: {name!r} is none of {', '.join(_FOLDS)}")
            for pair in _named(found, column, text):
                pair[_FOLDS[name]] = True
    for text in maps:
        column, said = _of_column(text, "--map")
        mapped = {"codeList": said} if _CODE_LIST.fullmatch(said) else {"values": _values(said, text)}
        for pair in _named(found, column, text):
            pair.update(mapped)
    return found[0], found[1]


def _pair(text: str, option: str) -> dict[str, Any]:
    match = _PAIR.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{option} {text}: is no pair of columns",
            remedy="Write LEFT=RIGHT, or one name for both; behind it ~0.01, ~1%, ~30s, ~8h or ~2d.",
        )
    left, right, amount, unit = match.groups()
    pair: dict[str, Any] = {"left": left, **({"right": right} if right else {})}
    if amount is None:
        return pair
    if unit is None:
        return pair | {"absoluteTolerance": float(amount)}
    if unit == "%":
        return pair | {"relativeTolerance": float(amount) / 100}
    seconds = f"{float(amount) * _SECONDS[unit]:.6f}".rstrip("0").rstrip(".")
    return pair | {"timeTolerance": f"{seconds}s"}


def _of_column(text: str, option: str) -> tuple[str, str]:
    column, equals, said = text.partition("=")
    if not equals or not said:
        raise WrongUse(f"{option} {text}: is not written COLUMN=…")
    return column, said


def _named(found: list[list[dict[str, Any]]], column: str, text: str) -> list[dict[str, Any]]:
    pairs = [pair for part in found for pair in part if pair["left"] == column]
    if not pairs:
        raise WrongUse(f"{text}: {column} is neither a --key nor a --field", remedy="Name it as on the left.")
    return pairs


def _values(said: str, text: str) -> dict[str, str]:
    values = {}
    for part in said.split(","):
        value, colon, other = part.partition(":")
        if not colon:
            raise WrongUse(f"--map {text}: {part!r} is not written VALUE:OTHER")
        values[value] = other
    return values
