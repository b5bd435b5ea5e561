"""A health report as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plaza_design import STATIC

from plaza_quality.report.document import Block, Document

_HERE = Path(__file__).resolve().parent / "templates"


def html(document: Document) -> bytes:
    """The file says itself that nothing may be loaded and nothing may run (CSP in a `meta`)."""
    style = _style()
    text = (
        _templates()
        .get_template("report.html")
        .render(
            d=document,
            kind=_kind,
            style=Markup(style),  # noqa: S704  # our own file
            digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            mark=Markup(_mark()),  # noqa: S704  # our own file
        )
    )
    return text.encode()


@cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["svg"] = _picture
    return env


@cache
def _style() -> str:
    return (_HERE / "report.css").read_text(encoding="utf-8")


@cache
def _mark() -> str:
    return (STATIC / "plaza.svg").read_text(encoding="utf-8")


def _picture(svg: str, number: int) -> Markup:
    """Drawn here, with every text escaped; its hatch has a name that no other picture of the page has."""
    return Markup(svg.replace("#hatch", f"#hatch{number}").replace('"hatch"', f'"hatch{number}"'))  # noqa: S704


def _kind(block: Block) -> str:
    return type(block).__name__
