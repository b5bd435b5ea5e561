"""Code lists: codes in and out of CSV, what must hold among them, their hash, which lists a contract names."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import date

from plaza.common.v1 import contract_pb2
from plaza_kit.errors import FieldViolation, InvalidArgument
from plaza_kit.names import BadName

COLUMNS = ("code", "name", "name_en", "parent", "valid_from", "valid_to")
"""Headings of the canonical CSV, in their order."""
MAX_CODES = 100_000
_HEADINGS = {
    **{name: name for name in COLUMNS},
    **dict(zip(("代码", "名称", "英文名称", "上级代码", "启用日期", "停用日期"), COLUMNS, strict=True)),
}
_LIMITS = {"code": 64, "name": 200, "name_en": 200, "parent": 64, "valid_from": 10, "valid_to": 10}
_NAME = re.compile(
    r"codeLists/([a-z][a-z0-9-]{0,62})(?:/versions/([A-Za-z0-9][A-Za-z0-9._-]{0,62}))?", re.ASCII
)
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
_REST = {4: "-01-01", 7: "-01", 10: ""}
"""What a shorter way to write a day leaves out, by its length."""
_MAX_VIOLATIONS = 50


class BadCodeList(InvalidArgument):
    """The document is no code list; each violation names its line."""


class UnknownCodeList(InvalidArgument):
    """A field of the contract names a code list, or a version of one, that is not there."""


@dataclass(frozen=True, slots=True)
class Code:
    """One row. Days are written `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; empty texts say nothing."""

    code: str
    name: str
    name_en: str = ""
    parent: str = ""
    valid_from: str = ""
    valid_to: str = ""


@dataclass(frozen=True, slots=True)
class CodeListName:
    """`codeLists/{code_list}`, with `/versions/{version}` or without, taken apart."""

    code_list: str
    version: str = ""
    """Empty: the newest."""

    @classmethod
    def parse(cls, name: str) -> CodeListName:
        """Raises BadName."""
        match = _NAME.fullmatch(name)
        if match is None:
            pattern = "codeLists/{code_list} or codeLists/{code_list}/versions/{version}"
            raise BadName(f"{name!r} is not a name like {pattern}", remedy=f"write it as {pattern}")
        return cls(match[1], match[2] or "")

    def __str__(self) -> str:
        version = f"/versions/{self.version}" if self.version else ""
        return f"codeLists/{self.code_list}{version}"


def canonical_csv(codes: Iterable[Code]) -> str:
    """The text that the hash is made over."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(code) for code in codes)
    return text.getvalue()


def sha256_of(codes: Iterable[Code]) -> str:
    """Hexadecimal, over the canonical CSV in UTF-8."""
    return hashlib.sha256(canonical_csv(codes).encode()).hexdigest()


def parse_csv(document: str) -> tuple[Code, ...]:
    """The codes of a document in its order. Raises BadCodeList with every wrong line found (50 at most)."""
    rows = _rows(document)
    heads = next(rows, None)
    columns = _columns(heads[1] if heads else [])
    found: list[tuple[int, Code]] = []
    wrong: list[FieldViolation] = []
    for line, cells in rows:
        if not any(cells):
            continue
        if len(cells) > len(columns):
            wrong.append(_at(line, f"has {len(cells)} cells, the heading {len(columns)}"))
            continue
        found.append((line, Code(**{"code": "", "name": "", **dict(zip(columns, cells, strict=False))})))
        if len(found) > MAX_CODES:
            raise _bad([_at(line, f"is code {MAX_CODES + 1:,}; a list has {MAX_CODES:,} at most")])
    if not found and not wrong:
        wrong.append(FieldViolation("document", "has no codes"))
    wrong.extend(_violations(found))
    if wrong:
        raise _bad(wrong)
    return tuple(code for _, code in found)


def _rows(document: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(document.removeprefix("\N{BYTE ORDER MARK}")), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad([_at(line, f"is not CSV: {error}")]) from error
        yield line, [cell.strip() for cell in cells]


def _columns(heads: Sequence[str]) -> list[str]:
    columns = [_HEADINGS.get(head.casefold(), "") for head in heads]
    unknown = [head for head, column in zip(heads, columns, strict=True) if not column]
    if unknown:
        raise _bad([_at(1, f"the heading {unknown[0][:40]!r} is not one of {', '.join(COLUMNS)}")])
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise _bad([_at(1, f"two columns are headed {twice[0]}")])
    missing = [name for name in ("code", "name") if name not in columns]
    if missing:
        raise _bad([_at(1, f"no column is headed {missing[0]}")])
    return columns


def _violations(found: Sequence[tuple[int, Code]]) -> Iterator[FieldViolation]:
    parents = {code.code: code.parent for _, code in found}
    seen: dict[tuple[str, str], int] = {}
    for line, code in found:
        for column in ("code", "name"):
            if not getattr(code, column):
                yield _at(line, f"has no {column}")
        for column, limit in _LIMITS.items():
            if len(getattr(code, column)) > limit:
                yield _at(line, f"{column} has more than {limit} characters")
        for column in ("valid_from", "valid_to"):
            if not _is_day(getattr(code, column)):
                yield _at(line, f"{column} {getattr(code, column)[:20]!r} is not written like 2026-01-05")
        if code.valid_from and code.valid_to and _later(code.valid_from, code.valid_to):
            yield _at(line, f"ends on {code.valid_to}, before it begins")
        first = seen.setdefault((code.code, code.valid_from), line)
        if first != line:
            yield _at(line, f"code {code.code[:64]!r} stands in line {first} with the same first day")
        if code.parent and code.parent not in parents:
            yield _at(line, f"parent {code.parent[:64]!r} is no code of the list")
    for line, code in found:
        if _in_circle(code.code, parents):
            yield _at(line, f"code {code.code[:64]!r} is above itself")


def _in_circle(code: str, parents: dict[str, str]) -> bool:
    at, steps = parents[code], 0
    while at and at != code:
        at, steps = parents.get(at, ""), steps + 1
        if steps > len(parents):
            return False  # it leads into a circle that it is not part of
    return at == code


def _is_day(text: str) -> bool:
    if not text:
        return True
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text + _REST[len(text)])
    except ValueError:
        return False
    return True


def _later(one: str, other: str) -> bool:
    """As far as both are written: 2010-05 is not later than 2010."""
    length = min(len(one), len(other))
    return one[:length] > other[:length]


def _at(line: int, text: str) -> FieldViolation:
    return FieldViolation("document", f"line {line}: {text}")


def _bad(wrong: Sequence[FieldViolation]) -> BadCodeList:
    more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
    return BadCodeList(
        f"{wrong[0].field}: {wrong[0].description}{more}",
        remedy=f"correct the named lines; the headings are {','.join(COLUMNS)}, the last four may be left out",
        facts={"count": str(len(wrong))},
        violations=tuple(wrong[:_MAX_VIOLATIONS]),
    )


def named_lists(contract: contract_pb2.Contract) -> dict[str, list[int]]:
    """Names of the code lists that fields of a contract name, and the positions of those fields."""
    named: dict[str, list[int]] = {}
    for index, field in enumerate(contract.fields):
        if field.code_list:
            named.setdefault(field.code_list, []).append(index)
    return named


def unknown_lists(
    named: dict[str, list[int]], unknown: Iterable[str], known: Sequence[str], prefix: str
) -> UnknownCodeList:
    """The error for the names that are not there; `known`: ids of the lists that are."""
    violations = tuple(
        FieldViolation(f"{prefix}.fields[{index}].code_list", f"there is no {name}")
        for name in unknown
        for index in named[name]
    )
    return UnknownCodeList(
        f"{violations[0].field}: {violations[0].description}",
        remedy=f"name one of {', '.join(f'codeLists/{each}' for each in known)}; "
        "a city administrator can add others",
        violations=violations,
    )
