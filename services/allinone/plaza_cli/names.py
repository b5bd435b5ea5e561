"""How people write the names of things, and how the API writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .client import Api
from .failures import WrongUse

_ID = r"[a-z][a-z0-9-]{0,62}"
_DATASET = re.compile(rf"(?:departments/)?({_ID})/(?:datasets/)?({_ID})", re.ASCII)
_DEPARTMENT = re.compile(rf"(?:departments/)?({_ID})", re.ASCII)
_RUN = re.compile(rf"(?:departments/)?({_ID})/(?:runs/)?([0-9a-f-]{{36}})", re.ASCII)

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="DEPARTMENT/DATASET, for example ecology/air-quality.")
]
DepartmentOption = Annotated[
    str | None, typer.Option("--department", help="The department. [default: yours, when you have one]")
]


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A dataset of a department."""

    department: str
    dataset: str

    @property
    def path(self) -> str:
        """`departments/{d}/datasets/{x}`: its resource name, and its place below `/api/v1/`."""
        return f"departments/{self.department}/datasets/{self.dataset}"

    def __str__(self) -> str:
        return f"{self.department}/{self.dataset}"

    @classmethod
    def parse(cls, text: str) -> DatasetName:
        """`ecology/air-quality`, or the full resource name. Raises `WrongUse`."""
        match = _DATASET.fullmatch(text)
        if match is None:
            raise WrongUse(
                f"{text!r} is not the name of a dataset",
                remedy="Write DEPARTMENT/DATASET in lower-case letters, digits and hyphens: "
                "ecology/air-quality.",
            )
        return cls(match[1], match[2])


def parse_department(text: str) -> str:
    """The department's id. Raises `WrongUse`."""
    match = _DEPARTMENT.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a department", remedy="`plaza department list` names them."
        )
    return match[1]


def parse_run(text: str) -> str:
    """`departments/{d}/runs/{id}` from the full name or `department/id`. Raises `WrongUse`."""
    match = _RUN.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"{text!r} is not the name of a run",
            remedy="Write DEPARTMENT/ID as `plaza run list` shows it.",
        )
    return f"departments/{match[1]}/runs/{match[2]}"


def resolve_department(api: Api, named: str | None) -> str:
    """The id of the department that is meant: the one named, else the caller's only one.

    Raises `WrongUse`, with the choices, when the caller has none or several.
    """
    if named:
        return parse_department(named)
    mine = sorted(str(one).removeprefix("departments/") for one in api.get("caller").get("departments") or [])
    if len(mine) == 1:
        return parse_department(mine[0])
    if mine:
        raise WrongUse(
            f"you act for several departments: {', '.join(mine)}", remedy="Name one with --department."
        )
    raise WrongUse(
        "you act for no department",
        remedy="Name one with --department; `plaza department list` shows them.",
    )


def short(name: object) -> str:
    """`departments/a/datasets/b` → `a/b`, the same for runs; other names as they are."""
    text = str(name or "")
    match = _DATASET.fullmatch(text) or _RUN.fullmatch(text)
    return f"{match[1]}/{match[2]}" if match else text


def constant(prefix: str, word: str) -> str:
    """`not-shared` → `SHARING_CLASS_NOT_SHARED`: the enum names of the API."""
    return f"{prefix}_{word.upper().replace('-', '_')}"


def word(constant: object, prefix: str) -> str:
    """The way back; empty for what is not declared."""
    text = str(constant or "").removeprefix(f"{prefix}_").lower().replace("_", "-")
    return "" if text == "unspecified" else text


def without_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without members that say nothing."""
    return {name: value for name, value in document.items() if value not in (None, "", [])}
