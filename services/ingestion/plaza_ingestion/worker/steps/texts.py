"""The steps that change what cells say, before types are read: trim, map_missing, map_codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plaza_ingestion.worker.convert import is_any_of, quoted, text_buffers
from plaza_ingestion.worker.records import Bools
from plaza_ingestion.worker.steps.declared import MapCodes, MapMissing, TextStep, Trim

BLANKS: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters with the property White_Space (Unicode 16, PropList.txt)."""


def _byte_table(sign_of: Sequence[int]) -> Bools:
    table = np.zeros(256, dtype=np.bool_)
    table[list(sign_of)] = True
    return table


_FIRST_BYTES: Final = _byte_table([sign.encode()[0] for sign in BLANKS])
_LAST_BYTES: Final = _byte_table([sign.encode()[-1] for sign in BLANKS])


@dataclass(frozen=True, slots=True)
class NoCode:
    """The cells of one field that a list of codes does not have."""

    step: MapCodes
    rows: Bools
    before: pa.StringArray
    """The texts that the step was given."""

    def why(self, row: int) -> str:
        """In plain words."""
        return f"{quoted(self.before[row].as_py())} is not in the list of codes"


@dataclass(slots=True)
class Texts:
    """The cells of one window on their way through the steps: by field, none null."""

    cells: dict[str, pa.StringArray]
    refused: dict[str, list[NoCode]] = field(default_factory=dict)


def run_texts(
    steps: Sequence[TextStep], cells: Mapping[str, pa.StringArray], missing: Mapping[str, Sequence[str]]
) -> Texts:
    """The cells behind all steps. `missing`: the texts that mean "no value" by field, beside the empty one."""
    texts = Texts(dict(cells))
    for step in steps:
        match step:
            case Trim():
                for name in _fields(step.fields, cells):
                    texts.cells[name] = trim(texts.cells[name])
            case MapMissing():
                for name in _fields(step.fields, cells):
                    texts.cells[name] = _emptied(texts.cells[name], step.tokens)
            case MapCodes():
                _map_codes(step, texts, missing[step.field])
    return texts


def _fields(named: tuple[str, ...], cells: Mapping[str, pa.StringArray]) -> Iterator[str]:
    return iter(named or tuple(cells))


def trim(cells: pa.StringArray) -> pa.StringArray:
    """Without blanks at both ends. What has none is handed back as it is: most columns."""
    offsets, data = text_buffers(cells)
    begin, end = offsets[:-1], offsets[1:]
    some = end > begin
    if not (_FIRST_BYTES[data[begin[some]]] | _LAST_BYTES[data[end[some] - 1]]).any():
        return cells
    return pc.utf8_trim(cells, BLANKS)


def _emptied(cells: pa.StringArray, tokens: Sequence[str]) -> pa.StringArray:
    found = is_any_of(cells, tokens)
    return pc.if_else(pa.array(found), "", cells) if found.any() else cells


def _map_codes(step: MapCodes, texts: Texts, missing: Sequence[str]) -> None:
    cells = texts.cells[step.field]
    known = pa.array([text for text, _ in step.codes], pa.string())
    codes = pa.array([code for _, code in step.codes], pa.string())
    # Per distinct text: a column of codes has few.
    distinct = cells.dictionary_encode()
    place = pc.index_in(distinct.dictionary, value_set=known)
    mapped = pc.coalesce(codes.take(place), distinct.dictionary)
    texts.cells[step.field] = mapped.take(distinct.indices)
    if step.keep_others:
        return
    others = place.is_null().to_numpy(zero_copy_only=False)[distinct.indices.to_numpy()]
    others = others & ~is_any_of(cells, ("", *missing))
    if others.any():
        texts.refused.setdefault(step.field, []).append(NoCode(step, others, cells))
