"""The rows of a version with what the rules said of them: bits by file and row, as a table beside the query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from sqlglot import exp

from plaza_lake import row_bits, verdict_files
from plaza_lake.access import Access
from plaza_lake.ir import And, Compare, Expr, Op
from plaza_lake.judgements import ROW_BITS, scanned
from plaza_lake.render import DIALECT, column
from plaza_lake.row_bits import Bits, Rows
from plaza_lake.row_origins import Span, cut, origins_of
from plaza_lake.scan import whole
from plaza_lake.tables import Lake
from plaza_lake.verdict_files import FileVerdicts, JudgedRule, Side, Verdicts, column_of
from plaza_lake.verdicts import (
    FAILED_RULES,
    OF_ALL,
    REASONS,
    RULE_SET,
    VERDICT,
    JudgedSchema,
    NotAssessed,
    Outcome,
    VerdictNotGranted,
    fields_of,
    is_outcome,
    rule_named,
)

_TABLE: Final = "_verdicts"
_GROUP: Final = 31
"""Judges whose bits are put together at a time; above them there is room for as many kinds as a file has rows."""


@dataclass(frozen=True)
class Joined:
    """The rows of a version with the verdicts that a query asks for."""

    access: Access
    names: tuple[str, ...]
    verdicts: Verdicts
    table: pa.Table
    """Named `_verdicts` beside the query: the rows for which some answer is not the usual one."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        return {_TABLE: self.table}

    def rows(self) -> exp.Subquery:
        """What the query selects from: the fields that are granted, and the verdicts."""
        own = [column(name, "_r") for name in self.access.granted.names]
        on = exp.EQ(this=column("_position", "_r"), expression=column("_position", _TABLE))
        return (
            exp.select(*own, *(exp.alias_(self._item(name), name, quoted=True) for name in self.names))
            .from_(scanned(self.access).subquery("_r"))
            .join(exp.to_table(_TABLE, dialect=DIALECT), on=on, join_type="left")
            .subquery("_j")
        )

    def _item(self, name: str) -> exp.Expr:
        if name == RULE_SET:
            return exp.cast(exp.Literal.number(self.verdicts.rule_set), "BIGINT", dialect=DIALECT)
        if name in (FAILED_RULES, REASONS):
            return exp.cast(column(name, _TABLE), "VARCHAR", dialect=DIALECT)
        if name != VERDICT and rule_named(self.verdicts, name).judge is None:
            return exp.Literal.string(Outcome.NOT_APPLICABLE.value)
        words = [
            exp.If(
                this=exp.EQ(this=column(name, _TABLE), expression=exp.Literal.number(code)),
                true=exp.Literal.string(outcome.value),
            )
            for code, outcome in _CODES.items()
        ]
        return exp.Case(ifs=words, default=exp.Literal.string(Outcome.PASS.value))


_CODES: Final = {1: Outcome.FAIL, 2: Outcome.NOT_APPLICABLE}


def joined(lake: Lake, access: Access, names: Sequence[str], where: Expr | None) -> Joined:
    """Checks that the grant may see these verdicts, and reads them. `access` gets their columns.

    Raises `NotAssessed`, `VerdictNotGranted`, `UnknownRule`, `RowFilterNotSupported`.
    """
    whole(access)
    dataset, version = access.grant.dataset, access.version.version
    verdicts = verdict_files.find(lake, dataset, version) if access.grant.table == "rows" else None
    if verdicts is None:
        raise NotAssessed(dataset, version)
    _check_granted(access, verdicts, names)
    files = _Files(lake, dataset, verdicts)
    found = [files.parts(path) for path in access.paths]
    asked = _Asked(verdicts, tuple(dict.fromkeys(names)))
    kept = [
        number
        for number, parts in enumerate(found)
        if not any(asked.never(name, parts) for name in _must_fail(where))
    ]
    files.load([part for number in kept for part in found[number]], asked.judges)
    tables = [asked.table(files, place, found[number]) for place, number in enumerate(kept)]
    table = pa.concat_tables(tables, promote_options="permissive") if tables else asked.nothing()
    judged = replace(
        access,
        paths=tuple(access.paths[number] for number in kept),
        schema=JudgedSchema.of(access.schema, dataset, version, verdicts),
        granted=JudgedSchema.of(access.granted, dataset, version, verdicts),
    )
    return Joined(judged, asked.names, verdicts, table)


def _check_granted(access: Access, verdicts: Verdicts, names: Iterable[str]) -> None:
    granted = set(access.granted.names)
    if fields_of(verdicts, names) <= granted:
        return
    open_ = [r.id for r in verdicts.rules if r.judge is not None and granted.issuperset(r.fields)]
    raise VerdictNotGranted(
        "the verdict would tell of fields that are not granted",
        remedy=f"Ask rule by rule, as {VERDICT}.RULE = fail; rules over granted fields: {', '.join(open_) or 'none'}.",
    )


def _must_fail(where: Expr | None) -> Iterator[str]:
    """Verdicts that must be `fail` for a row to pass the filter."""
    match where:
        case And(operands):
            for operand in operands:
                yield from _must_fail(operand)
        case Compare(Op.EQ, ref, literal) if is_outcome(ref.name) and literal.value == Outcome.FAIL:
            yield ref.name


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a data file that was there when the version was assessed."""

    file: FileVerdicts
    first: int
    rows: int


@dataclass
class _Files:
    """The judged files of a version, found by the paths of today."""

    lake: Lake
    dataset: str
    verdicts: Verdicts
    _bits: dict[tuple[str, str], Bits] = field(default_factory=dict)
    """By object and column."""

    @cached_property
    def _known(self) -> Mapping[str, FileVerdicts]:
        return {file.name: file for file in self.verdicts.files}

    def parts(self, path: str) -> tuple[_Part, ...]:
        """Raises `NotAssessed` for a file of which nobody knows where its rows came from."""
        name = name_of(self.lake, self.dataset, path)
        known = self._known.get(name)
        if known is not None:
            return (_Part(known, 0, known.rows),)
        with self.lake.files.opened([path]):
            origins = origins_of(path)
        if origins is None:
            raise NotAssessed(self.dataset, self.verdicts.version)
        return tuple(self._resolved(origins.spans, origins.before))

    def _resolved(self, spans: Iterable[Span], before: Mapping[str, tuple[Span, ...]]) -> Iterator[_Part]:
        for span in spans:
            if (known := self._known.get(span.file)) is not None:
                yield _Part(known, span.first, span.rows)
            elif (older := before.get(span.file)) is not None:
                yield from self._resolved(cut(older, span.first, span.rows), before)
            else:
                raise NotAssessed(self.dataset, self.verdicts.version)

    def load(self, parts: Iterable[_Part], judges: Iterable[int]) -> None:
        """The bits of these judges."""
        wanted: dict[str, set[str]] = {}
        for part in parts:
            for judge in judges:
                if name := part.file.judges[judge].bits:
                    found = wanted.setdefault(name, set())
                    found.update(column_of(side, self.verdicts.judges[judge]) for side in Side)
        uris = {name: verdict_files.object_address(self.lake, self.dataset, name) for name in wanted}
        files = self.lake.files
        with files.opened([files.path(uri) for uri in uris.values()]):
            for name, columns in wanted.items():
                for each, bits in verdict_files.read_bits(files, uris[name], columns).items():
                    self._bits[name, each] = bits

    def bits(self, parts: Sequence[_Part], judge: int, side: Side) -> Bits | None:
        """Of all rows of a data file of today; None: none is set."""
        found: list[tuple[Bits | None, int]] = []
        for part in parts:
            known = part.file.judges[judge]
            bits = self._bits.get((known.bits, column_of(side, self.verdicts.judges[judge])))
            if bits is not None and (part.first or part.rows < part.file.rows):
                bits = row_bits.part(bits, part.first, part.rows)
            found.append((bits, part.rows))
        return row_bits.joined(found)


@dataclass(frozen=True)
class _Asked:
    """The verdicts that a query asks for."""

    verdicts: Verdicts
    names: tuple[str, ...]

    @cached_property
    def judges(self) -> frozenset[int]:
        """Whose bits are needed."""
        if set(OF_ALL) & set(self.names):
            return frozenset(range(len(self.verdicts.judges)))
        return frozenset(
            judge for name in self.names if is_outcome(name) and (judge := self._judge(name)) is not None
        )

    def _judge(self, name: str) -> int | None:
        return rule_named(self.verdicts, name).judge

    def never(self, name: str, parts: Sequence[_Part]) -> bool:
        """Whether no row of a file has the verdict `fail`."""
        if name == VERDICT:
            return all(part.file.clean == part.file.rows for part in parts)
        judge = self._judge(name)
        return judge is None or not any(part.file.judges[judge].failed for part in parts)

    def table(self, files: _Files, number: int, parts: Sequence[_Part]) -> pa.Table:
        """The rows of one data file that have something to tell."""
        count = sum(part.rows for part in parts)
        failed = {judge: files.bits(parts, judge, Side.FAILED) for judge in self.judges}
        columns: dict[str, tuple[Bits | None, Bits | None]] = {}
        together = _any([bits for bits in failed.values() if bits is not None])
        for name in self.names:
            if name in OF_ALL:
                columns[name] = (together, None)
            elif is_outcome(name) and (judge := self._judge(name)) is not None:
                columns[name] = (failed[judge], files.bits(parts, judge, Side.SILENT))
        told = _any([bits for pair in columns.values() for bits in pair if bits is not None])
        if told is None:
            return self.nothing()
        rows = row_bits.rows_in(told, count)
        arrays: dict[str, pa.Array] = {"_position": pa.array(rows | (number << ROW_BITS))}
        for name, (bad, silent) in columns.items():
            if is_outcome(name):
                codes = np.zeros(len(rows), np.int8)
                for code, bits in ((1, bad), (2, silent)):
                    if bits is not None:
                        codes[row_bits.at(bits, rows)] = code
                arrays[name] = pa.array(codes)
        if {FAILED_RULES, REASONS} & set(self.names):
            kinds, of_row = _kinds(failed, rows)
            for name, words in ((FAILED_RULES, self._ids), (REASONS, self._titles)):
                if name in self.names:
                    texts = pa.array([words(judges) for judges in kinds], pa.string())
                    arrays[name] = texts.take(pa.array(of_row))
        return pa.table(arrays)

    def nothing(self) -> pa.Table:
        types = {name: pa.string() if name in (FAILED_RULES, REASONS) else pa.int8() for name in self.names}
        return pa.schema([("_position", pa.int64()), *types.items()]).empty_table()

    def _broken(self, judges: Sequence[int]) -> list[JudgedRule]:
        return [rule for rule in self.verdicts.rules if rule.judge is not None and rule.judge in set(judges)]

    def _ids(self, judges: Sequence[int]) -> str | None:
        return ",".join(rule.id for rule in self._broken(judges)) or None

    def _titles(self, judges: Sequence[int]) -> str | None:
        return "; ".join(rule.title or rule.id for rule in self._broken(judges)) or None


def _kinds(failed: Mapping[int, Bits | None], rows: Rows) -> tuple[list[tuple[int, ...]], Rows]:
    """Which judges fail together: each kind of row once, and the kind of each of these rows."""
    kinds: list[tuple[int, ...]] = [()]
    of_row: Rows = np.zeros(len(rows), np.int64)
    judges = [judge for judge, bits in sorted(failed.items()) if bits is not None]
    for first in range(0, len(judges), _GROUP):
        group = judges[first : first + _GROUP]
        words = of_row << len(group)
        for place, judge in enumerate(group):
            bits = failed[judge]
            assert bits is not None, "they were chosen"
            words |= row_bits.at(bits, rows).astype(np.int64) << place
        encoded = pa.array(words).dictionary_encode()
        of_row = np.asarray(encoded.indices.to_numpy(), np.int64)
        kinds = [
            kinds[word >> len(group)] + tuple(judge for place, judge in enumerate(group) if word >> place & 1)
            for word in encoded.dictionary.to_pylist()
        ]
    return kinds, of_row


def _any(some: Sequence[Bits]) -> Bits | None:
    return np.bitwise_or.reduce(some) if some else None


def name_of(lake: Lake, dataset: str, path: str) -> str:
    """The name of a data file by which verdicts know it. `path`: as `Access.paths` has it."""
    store = lake.files.store
    key = store.key(Path(path))
    assert key is not None, "it was planned"
    return key.removeprefix(lake.files.key(lake.location(dataset, "rows")) + "/")
