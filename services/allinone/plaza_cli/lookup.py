"""`plaza whoami`."""

from __future__ import annotations

import typer

from .surroundings import JsonOption, UrlOption, plaza


def whoami(context: typer.Context, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show who you are to this Plaza: departments and roles."""
    here = plaza(context, url, as_json)
    caller = here.api.get("caller")
    if here.out.as_json:
        here.out.document(caller)
        return
    here.out.facts(
        [
            ("name", caller.get("displayName")),
            ("log-in", caller.get("username")),
            ("departments", ", ".join(caller.get("departments") or [])),
            ("roles", ", ".join(caller.get("roles") or [])),
            ("resource", caller.get("name")),
            ("at", here.url),
        ]
    )
