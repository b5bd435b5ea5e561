"""Plaza's own design language: tokens, components, page frame, words and number formats.

Shared by every server-rendered page (portal, console). Nothing here knows a service.
"""

from __future__ import annotations

from pathlib import Path

STATIC: Path = Path(__file__).resolve().parent / "static"
"""Directory of the style sheets and the script, served under ``/static/<content hash>/<name>``."""

TEMPLATES: Path = Path(__file__).resolve().parent / "templates"
"""Directory of the shared Jinja2 templates (``base.html``, ``macros.html``)."""

__all__ = ["STATIC", "TEMPLATES"]
