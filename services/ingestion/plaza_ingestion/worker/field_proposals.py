"""From what was learned of each column to proposed fields and steps, each with its reasons."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from plaza_ingestion.worker.code_guesses import CODE_HEADING, CodeGuess, guess_code_list
from plaza_ingestion.worker.convert import quoted
from plaza_ingestion.worker.heading_units import Heading, cut_heading
from plaza_ingestion.worker.headings import TIME_PARTS, Role, field_names, role_of, time_part
from plaza_ingestion.worker.profile import ColumnProfile, is_blank
from plaza_ingestion.worker.sniff import Finding
from plaza_ingestion.worker.steps.declared import BuildTimestamp, ParseTime, Trim
from plaza_ingestion.worker.time_guesses import ZONE, TimeGuess

ProposedStep = Trim | ParseTime | BuildTimestamp

_RANGES: Final = {
    "year": (1900, 2199),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
_YEARS: Final = range(1900, 2200)
_LONGEST_STEP_NAME: Final = 63
_ZONE_UNKNOWN: Final = Finding(
    "zone_unknown", f"a file cannot say its time zone: {ZONE} is assumed, check it"
)


@dataclass(frozen=True, slots=True)
class FieldProposal:
    """One proposed field; the words are those of `plan.FieldSpec`."""

    name: str
    source: str
    """The heading, to the letter. Empty: built by a step."""
    type: str
    required: bool
    missing: tuple[str, ...]
    unit: str
    """Empty unless the heading says it: a guess would be read as a fact."""
    reasons: tuple[Finding, ...]
    title: str = ""
    """The heading without its unit."""
    code_list: str = ""
    """Name of the code list that the values seem to be of; empty: none."""
    time: TimeGuess | None = None
    """How its texts are written, when a step must say so."""


def propose_fields(
    headings: Sequence[str], columns: Sequence[ColumnProfile], declared: Collection[str] = ()
) -> tuple[tuple[FieldProposal, ...], tuple[ProposedStep, ...]]:
    """One field a heading, the steps that read it, and one field more with its step when the parts of a timestamp
    are there. `declared`: texts that mean "no value" everywhere, as whoever asked says."""
    readings = [_Reading.of(heading, column) for heading, column in zip(headings, columns, strict=True)]
    names = field_names([reading.heading.title for reading in readings])
    # A token that stands for "missing" between numbers is this file's habit, also where text surrounds it.
    habit = {token for reading in readings if not reading.is_text for token in reading.column.tokens}
    habit |= set(declared)
    fields = [
        reading.field(name, heading, habit, set(declared))
        for name, heading, reading in zip(names, headings, readings, strict=True)
        if heading
    ]
    steps = list(_reading_steps(fields, {name: r.column for name, r in zip(names, readings, strict=True)}))
    build = _propose_timestamp(headings, names, columns)
    if build is not None:
        steps.append(build)
        fields.append(FieldProposal(build.target, "", "timestamp", True, (), "", _WHY_BUILT))
    return tuple(fields), tuple(steps)


_WHY_BUILT: Final = (
    Finding("built_from_parts", "year, month, day and hour stand in columns of their own"),
    _ZONE_UNKNOWN,
)


def _reading_steps(
    fields: Sequence[FieldProposal], columns: dict[str, ColumnProfile]
) -> Iterator[ProposedStep]:
    padded = tuple(field.name for field in fields if columns[field.name].padded)
    if padded:
        yield Trim(padded, name="trim")
    for field in fields:
        if field.time:
            name = f"read-{field.name}"
            step = field.time.step
            yield ParseTime(
                field.name, step.formats, step.zone, name=name if len(name) <= _LONGEST_STEP_NAME else ""
            )


@dataclass(frozen=True, slots=True)
class _Reading:
    """How one column is to be read."""

    heading: Heading
    column: ColumnProfile
    type: str
    time: TimeGuess | None
    code: CodeGuess | None
    why: tuple[Finding, ...]

    @classmethod
    def of(cls, text: str, column: ColumnProfile) -> _Reading:
        """By the column's cells, and by the heading where those leave a choice."""
        kind, plain = column.type_name, Heading(text, "")
        time = _time_of(text, column, kind)
        if time is not None:
            return cls(plain, column, time.type, time, None, tuple(_why_time(time)))
        code = guess_code_list(text, column.distinct) if kind in ("integer", "string") else None
        if code is not None:
            return cls(plain, column, "string", None, code, (Finding("codes", code.because),))
        if kind == "integer" and column.fixed_digits and CODE_HEADING.search(text):
            said = f"the heading says that it is a code, and every value has {column.fixed_digits} digits"
            return cls(plain, column, "string", None, None, (Finding("coded_digits", said),))
        heading = cut_heading(text) if kind in ("integer", "number") else plain
        return cls(heading, column, kind, None, None, tuple(_why_type(column, kind)))

    @property
    def is_text(self) -> bool:
        """Nothing but its habit tells a missing token from a text."""
        return self.column.type_name == "string" and self.time is None

    def field(self, name: str, source: str, habit: set[str], declared: set[str]) -> FieldProposal:
        """The proposal."""
        column, reasons = self.column, list(self.why)
        blank = {token for token in column.tokens if column.padded and is_blank(token)}  # trimmed away
        tokens = column.tokens - blank
        if self.is_text:
            tokens &= habit
        own = tokens - declared
        shown = ", ".join(quoted(token) for token in sorted(own))
        if own and self.is_text:
            reasons.append(
                Finding("missing_by_habit", f"{shown} means missing in other columns of this file")
            )
        elif own:
            reasons.append(Finding("missing_tokens", f"{shown} is the only other text in the column"))
        required = bool(column.rows) and not column.empty and not tokens and not blank
        if required:
            reasons.append(Finding("never_missing", "every row has a value"))
        reasons += self._why_words(name)
        return FieldProposal(
            name,
            source,
            self.type,
            required,
            tuple(sorted(own)),
            self.heading.unit,
            tuple(reasons),
            title=self.heading.title,
            code_list=self.code.code_list if self.code else "",
            time=self.time,
        )

    def _why_words(self, name: str) -> Iterator[Finding]:
        if self.heading.unit:
            yield Finding("unit_in_heading", f"the heading says the unit: {self.heading.unit}")
        if self.column.padded:
            yield Finding("padded", "some values have blanks around them, which a step cuts off")
        if name.startswith("field_"):
            yield Finding("name_by_place", "the heading has no ASCII name: choose a telling one")


def _time_of(heading: str, column: ColumnProfile, kind: str) -> TimeGuess | None:
    """How the column's texts say times, when all of them do in one way alone."""
    guesses = column.times or ()
    if not guesses or not column.values or _is_ambiguous(guesses):
        return None
    if kind == "string" and not column.digits_are_a_code:
        return guesses[0]
    says_time = role_of(heading) is Role.TIME and time_part(heading) is None
    if kind != "integer" or not says_time or column.low is None or column.high is None:
        return None
    # Digits alone could be any number: the heading must say so, and the years must be of our time.
    behind_year = 10 ** max(column.longest - 4, 0)
    ours = column.low // behind_year in _YEARS and column.high // behind_year in _YEARS
    return guesses[0] if guesses[0].is_compact and ours else None


def _is_ambiguous(guesses: Sequence[TimeGuess]) -> bool:
    """Day before month, or month before day: both fit."""
    return len({tuple(re.findall(r"%-?([Ymd])", guess.format)) for guess in guesses}) > 1


def _why_time(time: TimeGuess) -> Iterator[Finding]:
    kind = "date" if time.type == "date" else "moment"
    yield Finding("time_format", f"every value is a {kind} written as {time.format}")
    if time.step.zone:
        yield _ZONE_UNKNOWN


def _why_type(column: ColumnProfile, kind: str) -> Iterator[Finding]:
    if not column.values:
        yield Finding("no_values", "no row has a value, so text is the only safe type")
    elif column.digits_are_a_code and column.leading_zeros:
        yield Finding("leading_zeros", "digits with leading zeros are a code, not a quantity")
    elif column.digits_are_a_code:
        yield Finding("long_numbers", "numbers of more than 15 digits are identifiers, not quantities")
    else:
        yield Finding(f"all_{kind}", f"every value is {_KINDS[kind]}")
        if kind == "string" and column.times and _is_ambiguous(column.times):
            formats = " or ".join(guess.format for guess in column.times)
            said = f"every value could be a date written as {formats}: declare a step that says which"
            yield Finding("ambiguous_date", said)


_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date (YYYY-MM-DD)",
    "timestamp": "an instant with its UTC offset",
}


def _propose_timestamp(
    headings: Sequence[str], names: Sequence[str], columns: Sequence[ColumnProfile]
) -> BuildTimestamp | None:
    """A timestamp out of year, month, day and hour (and finer parts), when such columns hold such values."""
    parts: dict[str, str] = {}
    for heading, name, column in zip(headings, names, columns, strict=True):
        part = time_part(heading)
        if part and part not in parts and _holds(part, column):
            parts[part] = name
    if not all(part in parts for part in TIME_PARTS[:4]):
        return None
    target = next(name for name in ("time", "observed_at", "built_time") if name not in names)
    finer = parts.get("minute")
    return BuildTimestamp(
        target=target,
        year=parts["year"],
        month=parts["month"],
        day=parts["day"],
        hour=parts["hour"],
        minute=finer,
        second=parts.get("second") if finer else None,
        zone=ZONE,
        name=f"build-{target}",
    )


def _holds(part: str, column: ColumnProfile) -> bool:
    low, high = _RANGES[part]
    return (
        column.type_name == "integer"
        and column.low is not None
        and column.high is not None
        and low <= column.low
        and column.high <= high
    )
