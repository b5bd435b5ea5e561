"""Lines that fetch and check a release's files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from plaza_gateway.portal.views import FileView

_READERS = {"Parquet": "read_parquet", "CSV": "read_csv"}
"""Best first: Parquet knows its types."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines that a reader can paste; addresses are quoted for the shell and for Python."""

    fetch: str
    python: str | None
    proof: str | None
    verify: str


def commands(file: FileView, base_url: str, others: Sequence[FileView] = ()) -> Commands:
    """How to fetch and check `file`; Python reads the best of all."""
    known = {each.format: each for each in (file, *others)}
    read = next((form for form in _READERS if form in known), None)
    return Commands(
        fetch=f"curl -o {shlex.quote(file.name)} {shlex.quote(base_url + file.url)}",
        python=f"import polars as pl\n\nframe = pl.{_READERS[read]}({json.dumps(base_url + known[read].url)})"
        if read
        else None,
        proof=None
        if file.proof_url is None
        else f"curl -o {shlex.quote(file.name + '.proof.json')} {shlex.quote(base_url + file.proof_url)}",
        verify=f"plaza verify {shlex.quote(file.name)}",
    )
