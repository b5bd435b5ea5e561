"""Formats of dates and moments: what is one, and that no text has two readings."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza_kit.time_formats import BadTimeFormat, Part, TimeFormat, time_format


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("%Y-%m", "has no day"),
        ("%Y-%m-%d-%d", "has the day twice"),
        ("%y-%m-%d", "'%y', which is none of %Y, %m"),
        ("%Y-%m-%d %M", "has the minute without the hour"),
        ("%Y-%m-%d%z", "has the offset without the hour"),
        ("%Y-%m-%dT%H%zx", "goes on behind the offset"),
        ("%Y%-m%d", "next to another digit"),
        ("%Y-%m-%-d0", "next to another digit"),
        ("%Y-%m-%d %H%M%S%f", "next to another digit"),
        ("%Y-%m-%d %", "'%', which is none of"),
        ("", "has no year"),
    ],
)
def test_a_format_with_two_readings_or_none_is_refused(text: str, because: str) -> None:
    with pytest.raises(BadTimeFormat, match=re.escape(because)):
        time_format(text)


def test_pieces_and_what_they_say() -> None:
    found = time_format("100%%: %Y年%-m月%d日")
    assert found.pieces == (
        *("100%: ", Part("year", (4,)), "年", Part("month", (1, 2)), "月", Part("day", (2,)), "日"),
    )
    assert (found.has_clock, found.has_offset) == (False, False)
    moment = time_format("%Y%m%dT%H%M%S.%f%z")
    assert (moment.has_clock, moment.has_offset) == (True, True)


OFFSET = re.compile(r"Z|[+-]\d\d(:?\d\d)?")
OFFSETS = {1: "Z", 3: "+08", 5: "-0330", 6: "+08:00"}


def readings(format_: TimeFormat, text: str) -> int:
    """In how many ways the text can be cut into the format's pieces."""
    found = 0
    widths = [piece.widths if isinstance(piece, Part) else (len(piece),) for piece in format_.pieces]
    for chosen in product(*widths):
        cuts = [text[sum(chosen[:i]) : sum(chosen[: i + 1])] for i in range(len(chosen))]
        fits = (
            OFFSET.fullmatch(cut)
            if _is(piece, "offset")
            else cut == piece or (isinstance(piece, Part) and cut.isdigit())
            for cut, piece in zip(cuts, format_.pieces, strict=True)
        )
        found += all(fits) and sum(chosen) == len(text)
    return found


def _is(piece: str | Part, name: str) -> bool:
    return isinstance(piece, Part) and piece.name == name


PIECES = st.lists(st.sampled_from(["%H", "%-H", "%M", "%-M", "%-S", "%f", "0", "-", "年", " "]), max_size=6)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.sampled_from(["", "%z"]), st.data())
def test_no_text_has_two_readings(pieces: list[str], end: str, data: st.DataObject) -> None:
    try:
        format_ = time_format("%Y-%-m-%-d" + "".join(pieces) + end)
    except BadTimeFormat:
        return

    def text_of(piece: str | Part) -> str:
        if isinstance(piece, str):
            return piece
        width = data.draw(st.sampled_from(piece.widths))
        return (
            OFFSETS[width]
            if piece.name == "offset"
            else data.draw(st.text("019", min_size=width, max_size=width))
        )

    assert readings(format_, "".join(map(text_of, format_.pieces))) == 1
