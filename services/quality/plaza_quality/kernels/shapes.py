"""What texts look like, and as what they can be read."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from plaza_lake.fields import Column, FieldType, TableSchema

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import HasFormat, TextFormat
from plaza_quality.domain.patterns import PATTERNS
from plaza_quality.domain.shapes import LONGEST_SHAPE
from plaza_quality.kernels.checks import kernel_of
from plaza_quality.kernels.columns import PASSES

_CLASSES: Final = (
    ("[0-9]", "9"),
    ("[A-Z]", "A"),
    ("[a-z]", "a"),
    (r"\p{Han}", "字"),
    (r"[^\P{L}Aa\p{Han}]", "x"),
)
"""In this order: a sign that was put in another's place is not looked at again."""
_KINDS: Final = {
    FieldType.INTEGER: PATTERNS[TextFormat.INTEGER],
    FieldType.NUMBER: rf"(?:{PATTERNS[TextFormat.DECIMAL]})(?:[eE][+-]?[0-9]{{1,3}})?",
    FieldType.BOOLEAN: "(?i:true|false)",
    FieldType.DATE: PATTERNS[TextFormat.DATE],
    FieldType.TIMESTAMP: PATTERNS[TextFormat.TIMESTAMP],
}
_TEXT: Final = TableSchema((Column("v", FieldType.STRING),))


def shapes(texts: pa.Array) -> pa.Array:
    """Of each text. Of one that is longer than `LONGEST_SHAPE`, signs of the same class in a row are written once,
    with a plus, and the rest is cut."""
    found = texts
    for pattern, sign in _CLASSES:
        found = pc.replace_substring_regex(found, pattern, sign)
    long = pc.greater(pc.utf8_length(found), LONGEST_SHAPE)
    if not pc.any(long).as_py():
        return found
    short = found
    for _, sign in _CLASSES:
        short = pc.replace_substring_regex(short, f"{sign}{{2,}}", f"{sign}+")
    return pc.if_else(long, pc.utf8_slice_codeunits(short, 0, LONGEST_SHAPE), found)


def readable_as(texts: pa.Array, kind: FieldType) -> NDArray[np.bool_]:
    """Whether each text can be read as a value of another type; days are not looked up in the calendar."""
    found = pc.match_substring_regex(texts, rf"\A(?:{_KINDS[kind]})\z")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def has_format(texts: pa.Array, form: TextFormat, around: Around) -> NDArray[np.bool_]:
    """Whether each text has the form, check digits included, as rules judge it."""
    kernel = kernel_of(HasFormat("v", form), _TEXT, around)
    if kernel is None:
        pattern = rf"\A(?:{PATTERNS[form]})\z"
        return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), np.bool_)
    return np.asarray(kernel.judge(pa.table({"v": texts})) == PASSES)
