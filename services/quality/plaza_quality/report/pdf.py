"""A health report as PDF: A4, tagged (PDF/UA-1), with bookmarks and its fonts inside."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import pylopdf_fonts_zh_cn
from plaza_design import STATIC

from plaza_quality.report.document import Block, Document
from plaza_quality.report.glyphs import showable

_TEMPLATE: Final = Path(__file__).resolve().parent / "templates" / "report.typ"
_STANDARD: Final = "ua-1"


def pdf(document: Document, made: datetime) -> bytes:
    """Blocking, a tenth of a second. The same document made at the same moment gives the same bytes.

    `made`: aware; the file's date. Nothing is asked of the network or of the system's fonts.
    """
    compiler, inputs = _compiler(), {"document": _json(document), "mark": _mark()}
    written = compiler.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs=inputs,
        pdf_standards=[_STANDARD],
        timestamp=int(made.timestamp()),
    )
    assert isinstance(written, bytes), "a PDF is one file"
    return written


@cache
def _fonts() -> Any:
    import typst  # 80 MB of code that most processes never need

    folder = pylopdf_fonts_zh_cn.sans_path().parent
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)])


def _compiler() -> Any:
    """A new one for each file: it holds what it was given last, and threads do not share it."""
    import typst

    return typst.Compiler(root=str(_TEMPLATE.parent), font_paths=_fonts())


@cache
def _mark() -> str:
    return (STATIC / "plaza.svg").read_text(encoding="utf-8")


def _json(document: Document) -> str:
    facts = asdict(document)
    facts["sections"] = [
        {"id": each.id, "title": each.title, "blocks": [_block(one) for one in each.blocks]}
        for each in document.sections
    ]
    return orjson.dumps(showable(facts, pylopdf_fonts_zh_cn.sans_path())).decode()


def _block(block: Block) -> dict[str, Any]:
    return {"kind": type(block).__name__, **asdict(block)}
