"""A reconciliation's definition and what follows from it: how values are compared, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final

from google.protobuf import duration_pb2
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_kit.errors import FailedPrecondition, InvalidArgument
from plaza_kit.names import DatasetName, DepartmentId
from plaza_lake.comparing import Comparison, Folding, Pair

LEFT: Final = 0
RIGHT: Final = 1
SIDES: Final = ("left", "right")

CodeNames = Mapping[str, Mapping[str, str]]
"""By the name that a pair gives a code list: its names by code."""


class LeftElsewhere(InvalidArgument):
    """A department compares its own data with others, not the data of two others."""


class AgreementMissing(InvalidArgument):
    """Another department's dataset is compared without saying under which agreement it is read."""


class CodeListMissing(FailedPrecondition):
    """A code list that values are translated by is not there."""


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two sources, as it is read for a department."""

    word: str
    """`left` or `right`."""
    dataset: DatasetName
    version: int
    """0: the newest."""
    agreement: str
    reader: DepartmentId
    columns: tuple[str, ...]

    @property
    def own(self) -> bool:
        """Whether the reading department owns it."""
        return self.dataset.department == self.reader


def sides_of(
    definition: pb.Reconciliation, department: DepartmentId, comparison: Comparison
) -> tuple[Side, Side]:
    """Both sources. Raises LeftElsewhere, AgreementMissing, BadName."""
    made = []
    for number, side in enumerate((definition.left, definition.right)):
        dataset = DatasetName.parse(side.dataset)
        columns = comparison.columns(number)
        made.append(Side(SIDES[number], dataset, side.version, side.agreement, department, columns))
    left, right = made
    if not left.own:
        raise LeftElsewhere(
            f"left: {left.dataset} is not a dataset of {department}",
            remedy="put your own dataset on the left and the other one on the right",
            facts={"field": "reconciliation.left.dataset"},
        )
    if not right.own and not right.agreement:
        raise AgreementMissing(
            f"right: {right.dataset} belongs to {right.dataset.department}; it is compared under an agreement only",
            remedy="read it once (plaza rows), so that there is an agreement, and name that in right.agreement",
            facts={"field": "reconciliation.right.agreement"},
        )
    return left, right


def code_lists(definition: pb.Reconciliation) -> tuple[str, ...]:
    """Those that values are translated by, each once."""
    pairs = (*definition.key, *definition.fields)
    return tuple(dict.fromkeys(pair.code_list for pair in pairs if pair.code_list))


def comparison_of(definition: pb.Reconciliation, names: CodeNames) -> Comparison:
    """How values are compared. Raises Incomparable, CodeListMissing."""
    return Comparison(
        tuple(_pair(pair, names) for pair in definition.key),
        tuple(_pair(pair, names) for pair in definition.fields),
    )


def _pair(pair: pb.ColumnPair, names: CodeNames) -> Pair:
    values: dict[str, str] = {}
    if pair.code_list:
        if pair.code_list not in names:
            raise CodeListMissing(
                f"{pair.left}: there is no {pair.code_list}",
                remedy="list the code lists (plaza code-list list), or give the values themselves",
                facts={"code_list": pair.code_list},
            )
        values.update(names[pair.code_list])
    values.update(pair.values)
    return Pair(
        left=pair.left,
        right=pair.right or pair.left,
        absolute=pair.absolute_tolerance,
        relative=pair.relative_tolerance,
        within=_span(pair.time_tolerance),
        folding=Folding(pair.fold_case, pair.fold_width, pair.fold_blanks),
        values=tuple(sorted(values.items())),
    )


def _span(duration: duration_pb2.Duration) -> timedelta:
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def rate(agreed: int, differing: int) -> Fraction | None:
    """In percent; None when nothing was compared."""
    compared = agreed + differing
    return Fraction(100 * agreed, compared) if compared else None


def rule_text(pair: Pair, *, left_absent: bool, right_absent: bool) -> str:
    """By which rule two values are no agreement."""
    if left_absent or right_absent:
        return f"no value on the {'left' if left_absent else 'right'}"
    if pair.absolute or pair.relative:
        amounts = [f"{pair.absolute:g}"] if pair.absolute else []
        amounts += [f"{100 * pair.relative:g} %"] if pair.relative else []
        return f"differ by more than {' or '.join(amounts)}"
    if pair.within:
        return f"are more than {pair.within} apart"
    folded = [
        word
        for word, said in (
            ("case", pair.folding.case),
            ("width", pair.folding.width),
            ("blanks", pair.folding.blanks),
        )
        if said
    ]
    mapped = ["translated"] if pair.values else []
    told = mapped + ([f"without regard to {', '.join(folded)}"] if folded else [])
    return f"differ ({'; '.join(told)})" if told else "differ"
