"""The page on which somebody chooses a table of an archive that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from plaza_design.pages import render
from starlette.responses import Response

from plaza_gateway.console import pages
from plaza_gateway.console.archives import Choice
from plaza_gateway.console.visits import Kept, Visit, html

What = Literal["register", "load", "contract"]
"""What the table is chosen for."""


def choice_of(kept: Kept, usual: str | None = None) -> Choice:
    """Nothing chosen yet, or what is usual."""
    return Choice.of(kept.name, kept.file_name, kept.entries, usual)


def choose(
    visit: Visit, what: What, action: str, choice: Choice, also: Mapping[str, str], *, wrong: bool = False
) -> Response:
    """Which table of the archive. `also`: what the form carries besides; `wrong`: none was chosen.

    The answer is a refusal, so that the script which sent the file puts the page in place.
    """
    shown = replace(choice, picked=choice.picked if not wrong else None)
    body = render(
        pages.templates(),
        "choose_table.html",
        visit.frame,
        visit=visit,
        part="datasets" if what != "register" else "register",
        what=what,
        action=action,
        choice=shown,
        also=also,
        errors={"entry": ""} if wrong else {},
    )
    return html(body, 400 if wrong else 409)
