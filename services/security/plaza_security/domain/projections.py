"""What security learns from other services' events: gradings and agreements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from plaza_kit.errors import InvalidArgument

CITY_LEVELS: Final = ("public", "internal", "sensitive", "core")
SHARING_CLASSES: Final = ("unconditional", "conditional", "not_shared")
IN_FORCE: Final = "in_force"


class MissingEventMember(InvalidArgument):
    """An event lacks what its type promises."""


@dataclass(frozen=True, slots=True)
class Grading:
    """How sensitive a dataset is and how it is shared."""

    dataset: str
    """`departments/{department}/datasets/{dataset}`"""
    city_level: str
    """One of CITY_LEVELS; empty: unclassified, which only the owner reads."""
    sharing_class: str
    """One of SHARING_CLASSES; empty: not declared."""
    confirmed_by: str
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Agreement:
    """That a department may read another's dataset, or may no longer."""

    name: str
    """`agreements/{agreement}`"""
    dataset: str
    provider: str
    """Id of the department that gives."""
    consumer: str
    """Id of the department that reads."""
    state: str
    signed_at: datetime

    def covers(self, dataset: str, reader: str) -> bool:
        """Whether it lets department `reader` (id) read the dataset now."""
        return self.state == IN_FORCE and self.dataset == dataset and self.consumer == reader


def department_id(name: str) -> str:
    """`departments/ecology` or `ecology` → `ecology`"""
    return name.removeprefix("departments/")


def grading_of(data: Mapping[str, Any], principal: str, time: datetime) -> Grading:
    """The grading that `dataset.registered` confirms; a word that we do not know counts as unclassified.

    Raises MissingEventMember.
    """
    dataset = _text(data, "dataset")
    if not dataset.startswith("departments/"):
        dataset = f"departments/{department_id(_text(data, 'department'))}/datasets/{dataset}"
    city_level, sharing_class = str(data.get("city_level", "")), str(data.get("sharing_class", ""))
    return Grading(
        dataset=dataset,
        city_level=city_level if city_level in CITY_LEVELS else "",
        sharing_class=sharing_class if sharing_class in SHARING_CLASSES else "",
        confirmed_by=principal,
        confirmed_at=time,
    )


def agreement_of(data: Mapping[str, Any], time: datetime) -> Agreement:
    """The agreement that `agreement.signed` tells of. Raises MissingEventMember."""
    return Agreement(
        name=f"agreements/{_text(data, 'agreement').removeprefix('agreements/')}",
        dataset=_text(data, "dataset"),
        provider=department_id(_text(data, "provider")),
        consumer=department_id(_text(data, "consumer")),
        state=_text(data, "state"),
        signed_at=time,
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise MissingEventMember(
            f"event data: member {name} must be a text", remedy="Correct the service that wrote the event."
        )
    return value
