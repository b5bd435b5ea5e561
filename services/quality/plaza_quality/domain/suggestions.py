"""Rules that a profile speaks for: drafts, what of them is left when every row was asked, and which are told.

A draft comes from what was seen in a column or among columns. Whether it holds is not believed but counted, as an
assessment counts it; what too many rows contradict is dropped. The threshold leaves room for half as many failures
again as there were, in round numbers: a rule that fails on the day it is accepted teaches nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.quality.v1 import suggestions_pb2 as pb

from plaza_quality.domain.check_messages import check_of
from plaza_quality.domain.checks import kind_of
from plaza_quality.domain.counting import Counts

MOST: Final = 60
"""Suggestions of a dataset."""
_ROUND: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_FIELD_NAMES: Final = ("field", "left", "right", "ordered_by")
_BY_TEXT: Final = ("conditional", "expression")
"""Checks that two rules may have about the same fields."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as it might be, with nothing counted yet."""

    rule: contract_pb2.QualityRule
    """Its check and its title; the rest is made when it is told."""
    rank: int
    """How useful it is: greater is more."""
    tolerated: float
    """Share of judged rows that may fail, 0 to 1; with more it is no rule."""
    evidence: str
    fields: tuple[str, ...] = ()
    """Beside those that the check names: those of its texts."""
    severity: contract_pb2.RuleSeverity.ValueType = contract_pb2.RULE_SEVERITY_MINOR


def draft(
    title: str,
    rank: int,
    tolerated: float,
    evidence: str,
    *,
    fields: tuple[str, ...] = (),
    major: bool = False,
    **check: Any,
) -> Draft:
    """`check`: the one member of the rule's oneof."""
    severity = contract_pb2.RULE_SEVERITY_MAJOR if major else contract_pb2.RULE_SEVERITY_MINOR
    return Draft(
        contract_pb2.QualityRule(title=title[:256], **check), rank, tolerated, evidence, fields, severity
    )


def told(drafts: Sequence[Draft], counts: Sequence[Counts], version: int) -> list[pb.RuleSuggestion]:
    """Those that hold, the most useful first; `counts` of each draft."""
    kept: list[tuple[int, int, pb.RuleSuggestion]] = []
    ids: set[str] = set()
    for place, (each, counted) in enumerate(zip(drafts, counts, strict=True)):
        judged = counted.passed + counted.failed
        if not judged or counted.failed > each.tolerated * judged:
            continue
        fields = fields_of(each.rule) or each.fields
        rule = contract_pb2.QualityRule()
        rule.CopyFrom(each.rule)
        rule.id = _free(_id(rule, fields), ids)
        ids.add(rule.id)
        word = kind_of(check_of(rule, {})).dimension.upper()
        rule.dimension = grades_pb2.Dimension.Value(f"DIMENSION_{word}")
        rule.threshold_percent = threshold(counted.passed, counted.failed)
        rule.severity = each.severity
        made = pb.RuleSuggestion(
            rule=rule,
            fields=fields,
            version=version,
            passed=counted.passed,
            failed=counted.failed,
            not_applicable=counted.not_applicable,
            evidence=each.evidence,
        )
        # What some rows break finds something today already.
        kept.append((-each.rank - (5 if counted.failed else 0), place, made))
    return [made for *_, made in sorted(kept, key=lambda one: one[:2])[:MOST]]


def threshold(passed: int, failed: int) -> float:
    """Pass rate in percent that leaves room for half as many failures again, in round numbers."""
    if not failed:
        return 100.0
    wanted = 150 * failed / (passed + failed)
    allowed = next((each for each in _ROUND if each >= wanted), _ROUND[-1])
    return round(100 - allowed, 2)


def fields_of(rule: contract_pb2.QualityRule) -> tuple[str, ...]:
    """The fields that the check names; not those in its texts."""
    kind = rule.WhichOneof("check")
    if kind is None:
        return ()
    check = getattr(rule, kind)
    known = {each.name for each in check.DESCRIPTOR.fields}
    named = [getattr(check, name) for name in _FIELD_NAMES if name in known]
    for several in ("fields", "within"):
        # A freshness check's `within` is a span of time.
        if several in known and check.DESCRIPTOR.fields_by_name[several].is_repeated:
            named += getattr(check, several)
    return tuple(dict.fromkeys(name for name in named if name))


def new_ones(
    suggestions: Iterable[pb.RuleSuggestion], rules: Sequence[contract_pb2.QualityRule]
) -> list[pb.RuleSuggestion]:
    """Those about which a contract with these rules says nothing yet: it has no rule of the kind for these fields. One
    whose id it uses for another rule gets a new id."""
    known = {_subject(rule) for rule in rules}
    ids = {rule.id for rule in rules}
    found = []
    for each in suggestions:
        if _subject(each.rule) in known:
            continue
        kept = pb.RuleSuggestion()
        kept.CopyFrom(each)
        kept.rule.id = _free(each.rule.id, ids)
        ids.add(kept.rule.id)
        found.append(kept)
    return found


def _subject(rule: contract_pb2.QualityRule) -> tuple[object, ...]:
    kind = rule.WhichOneof("check") or ""
    if kind in _BY_TEXT:
        return kind, getattr(rule, kind).SerializeToString(deterministic=True)
    fields = fields_of(rule)
    return kind, *(sorted(fields) if kind == "unique" else fields)


def _id(rule: contract_pb2.QualityRule, fields: Sequence[str]) -> str:
    kind = (rule.WhichOneof("check") or "").replace("_", "-")
    return "-".join((*fields, kind))[:120].rstrip("-")


def _free(wanted: str, used: set[str]) -> str:
    number = 2
    found = wanted
    while found in used:
        found, number = f"{wanted}-{number}", number + 1
    return found
