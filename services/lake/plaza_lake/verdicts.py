"""Verdicts as columns that a reader can filter by and ask for, joined to the rows as they are read (`verdict_join`).

    _verdict            `pass` or `fail`: whether the row breaks some rule
    _verdict.<rule>     `pass`, `fail` or `not_applicable`; in filters only
    _failed_rules       ids of the rules that the row breaks, with commas between them; absent where it breaks none
    _reasons            the same rules in the words of the contract
    _rule_set           version of the contract whose rules these are

No field begins with an underscore. In filters `verdict` and `verdict.<rule>` mean the same, unless the table has a
field `verdict` of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plaza_kit.errors import FailedPrecondition, InvalidArgument, PermissionDenied

from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.ir import And, Compare, Contains, Expr, In, Not, Op, Or, UnknownField
from plaza_lake.verdict_files import JudgedRule, Verdicts

VERDICT: Final = "_verdict"
FAILED_RULES: Final = "_failed_rules"
REASONS: Final = "_reasons"
RULE_SET: Final = "_rule_set"
COLUMNS: Final = (VERDICT, FAILED_RULES, REASONS, RULE_SET)
"""Those that may be asked for beside the fields."""
OF_ALL: Final = (VERDICT, FAILED_RULES, REASONS)
"""Those that tell of all rules."""
_SHORT: Final = VERDICT.removeprefix("_")


class Outcome(StrEnum):
    """What a rule says of a row."""

    PASS = "pass"  # noqa: S105  (a verdict)
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


class NotAssessed(FailedPrecondition):
    """Nothing is kept of what the rules say about the rows of this version."""

    def __init__(self, dataset: str, version: int) -> None:
        super().__init__(
            f"{dataset}/versions/{version} has no verdicts: it was not assessed yet, or before verdicts were kept",
            remedy="Ask again in some seconds, or assess it: plaza quality run"
            f" {dataset.removeprefix('departments/').replace('/datasets/', '/')}@{version}.",
            facts={"dataset": dataset, "version": str(version)},
        )


class UnknownRule(InvalidArgument):
    """The rule set has no rule of this id that judges rows."""


class VerdictNotGranted(PermissionDenied):
    """The verdict would tell something of fields that the grant does not open."""


def is_verdict(name: str) -> bool:
    """Whether a name means a verdict whatever the table's fields are."""
    return name in COLUMNS or name.startswith(f"{VERDICT}.")


def mentions_verdicts(filter_text: str, columns: Iterable[str] = ()) -> bool:
    """Whether a query could ask for verdicts; False spares the look at them."""
    return any(word in filter_text for word in (_SHORT, *COLUMNS)) or any(
        map(is_verdict, (*columns, *(f"_{name}" for name in columns)))
    )


@dataclass(frozen=True, slots=True)
class _VerdictColumn(Column):
    """Under a name that no field can have."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class JudgedSchema(TableSchema):
    """The fields of a version, and its verdicts when they are asked for by name: in all lists only the fields stand."""

    dataset: str = ""
    version: int = 0
    verdicts: Verdicts | None = None
    """None: not assessed."""

    @classmethod
    def of(cls, schema: TableSchema, dataset: str, version: int, verdicts: Verdicts | None) -> JudgedSchema:
        return cls(schema.columns, schema.key, dataset, version, verdicts)

    def column(self, name: str) -> Column | None:
        """Raises `NotAssessed`, `UnknownRule`."""
        found = TableSchema.column(self, name)
        if found is not None:
            return found
        if name == _SHORT or name.startswith(f"{_SHORT}."):
            name = f"_{name}"
        if not is_verdict(name):
            return None
        if self.verdicts is None:
            raise NotAssessed(self.dataset, self.version)
        if name.startswith(f"{VERDICT}."):
            rule_named(self.verdicts, name)
        return _VerdictColumn(name, FieldType.INTEGER if name == RULE_SET else FieldType.STRING)

    def select(self, names: Iterable[str]) -> JudgedSchema:
        """Of verdicts too, which then stand in the lists. The key stays only when it is whole."""
        columns = []
        for name in names:
            found = self.column(name)
            if found is None:
                raise UnknownField(name, self.names)
            columns.append(found)
        chosen = {each.name for each in columns}
        key = self.key if chosen.issuperset(self.key) else ()
        return JudgedSchema(tuple(columns), key, self.dataset, self.version, self.verdicts)


def rule_named(verdicts: Verdicts, name: str) -> JudgedRule:
    """The rule of `_verdict.<rule>`. Raises `UnknownRule`."""
    wanted = name.removeprefix(f"{VERDICT}.")
    for rule in verdicts.rules:
        if rule.id == wanted and not rule.of_table:
            return rule
    raise UnknownRule(
        f"rule set {verdicts.rule_set} has no rule {wanted!r} that judges rows",
        remedy=f"Use one of: {', '.join(rule.id for rule in verdicts.rules if not rule.of_table) or 'none'}.",
        facts={"rule": wanted},
    )


def fields_of(verdicts: Verdicts, names: Iterable[str]) -> frozenset[str]:
    """The fields that must be granted to whom these verdicts are shown."""
    found: set[str] = set()
    for name in names:
        if name in OF_ALL:
            found.update(*(rule.fields for rule in verdicts.rules if rule.judge is not None))
        elif name.startswith(f"{VERDICT}."):
            found.update(rule_named(verdicts, name).fields)
    return frozenset(found)


def check_outcomes(node: Expr) -> None:
    """That verdicts are compared with words that they can have. Raises `InvalidArgument`."""
    match node:
        case And(operands) | Or(operands):
            for operand in operands:
                check_outcomes(operand)
        case Not(operand):
            check_outcomes(operand)
        case Compare(op, ref, literal) if is_outcome(ref.name):
            if op not in (Op.EQ, Op.NE):
                raise InvalidArgument(f"{ref.name} has no order, so {op} says nothing", remedy="Use = or !=.")
            _check_word(ref.name, literal.value)
        case In(ref, literals) if is_outcome(ref.name):
            for literal in literals:
                _check_word(ref.name, literal.value)
        case Contains(ref) if is_outcome(ref.name):
            raise InvalidArgument(f"{ref.name} is one word", remedy="Use = or !=.")


def is_outcome(name: str) -> bool:
    """Whether it is one of the words of `Outcome`, of all rules or of one."""
    return name == VERDICT or name.startswith(f"{VERDICT}.")


def _check_word(name: str, value: object) -> None:
    words = [each.value for each in Outcome if name != VERDICT or each is not Outcome.NOT_APPLICABLE]
    if value not in words:
        raise InvalidArgument(f"{name} is never {value!r}", remedy=f"Use one of: {', '.join(words)}.")
