"""From shapes of texts to a regular expression (RE2) that they all match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

LONGEST_SHAPE: Final = 40
"""Signs that are kept of one."""
_MOST_FORMS: Final = 3
"""So many alternatives at most: more are no pattern but a list."""
_CLASSES: Final = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]", "字": r"\p{Han}", "x": r"\p{L}"}
_TELLING: Final = frozenset("9A")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression and how many texts it is made of."""

    text: str
    rows: int


def pattern_of(shapes: Sequence[tuple[str, int]], rows: int, share: float) -> Pattern | None:
    """The pattern of the most frequent forms, as soon as they are such a share of the rows. Forms differ in the order
    of their signs; how often a sign is repeated may vary within one. None where there is nothing to tell: words, or
    too many forms."""
    forms: dict[tuple[str, ...], list[tuple[list[int], int]]] = {}
    for shape, count in shapes:
        if not shape or len(shape) >= LONGEST_SHAPE:
            continue
        runs = [(sign, len(list(same))) for sign, same in groupby(shape)]
        forms.setdefault(tuple(sign for sign, _ in runs), []).append(([many for _, many in runs], count))
    ordered = sorted(forms.items(), key=lambda form: -sum(count for _, count in form[1]))
    parts: list[str] = []
    covered = 0
    for signs, seen in ordered[:_MOST_FORMS]:
        if not _TELLING.intersection(signs) and all(sign in _CLASSES for sign in signs):
            return None
        parts.append(_expression(signs, [lengths for lengths, _ in seen]))
        covered += sum(count for _, count in seen)
        if covered >= share * rows:
            return Pattern("|".join(parts), covered)
    return None


def _expression(signs: Sequence[str], seen: Sequence[Sequence[int]]) -> str:
    made = []
    for place, sign in enumerate(signs):
        least = min(lengths[place] for lengths in seen)
        most = max(lengths[place] for lengths in seen)
        times = "" if least == most == 1 else f"{{{least}}}" if least == most else f"{{{least},{most}}}"
        made.append(_CLASSES.get(sign, re.escape(sign)) + times)
    return "".join(made)
