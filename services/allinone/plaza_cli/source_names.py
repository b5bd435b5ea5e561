"""How people write the names of sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import typer

from .failures import WrongUse

_SOURCE = re.compile(r"(?:departments/)?([a-z][a-z0-9-]{0,62})/(?:sources/)?([a-z][a-z0-9-]{0,62})", re.ASCII)

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="DEPARTMENT/SOURCE, for example ecology/air-feed.")
]


@dataclass(frozen=True, slots=True)
class SourceName:
    """A source of a department."""

    department: str
    source: str

    @property
    def path(self) -> str:
        """`departments/{d}/sources/{s}`: its resource name, and its place below `/api/v1/`."""
        return f"departments/{self.department}/sources/{self.source}"

    def __str__(self) -> str:
        return f"{self.department}/{self.source}"

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """`ecology/air-feed`, or the full resource name. Raises `WrongUse`."""
        match = _SOURCE.fullmatch(text)
        if match is None:
            raise WrongUse(
                f"{text!r} is not the name of a source",
                remedy="Write DEPARTMENT/SOURCE in lower-case letters, digits and hyphens: ecology/air-feed.",
            )
        return cls(match[1], match[2])


def short_source(name: object) -> str:
    """`departments/a/sources/b` → `a/b`; other texts as they are."""
    text = str(name or "")
    match = _SOURCE.fullmatch(text)
    return f"{match[1]}/{match[2]}" if match else text
