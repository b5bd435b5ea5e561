"""`plaza ingest`: a department's files become versions of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import ExitCode, Failure, NotLoggedIn, Refused
from .following import check_succeeded, follow, how_to_watch
from .names import DatasetArgument, DatasetName, short
from .output import Output, count, whole
from .run import refusals
from .surroundings import JsonOption, Plaza, UrlOption, plaza
from .upload import upload

_ALREADY = "ALREADY_"
"""How reasons of a batch that is in already begin, in refusals (with status 409) and on runs."""


class Mode(StrEnum):
    """What becomes of the rows that are in the table."""

    APPEND = "append"
    REPLACE = "replace"
    UPSERT = "upsert"


@dataclass(slots=True)
class Loaded:
    """What became of one file."""

    file: Path
    already: bool = False
    version: int = 0
    run: dict[str, Any] = field(default_factory=dict)
    """As the API gives it; of a batch that is in already its `name` alone."""
    failure: Failure | None = None
    replay: bool = False
    """Its rows repair refused ones."""
    work_order: str = ""
    """Path of the work order whose rows it corrects."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        document: dict[str, Any] = {"file": str(self.file), "alreadyIngested": self.already}
        if self.version:
            document["version"] = self.version
        if self.run:
            document["run"] = self.run
        if self.failure is not None:
            document["error"] = self.failure.facts()
        return document


def ingest(
    context: typer.Context,
    name: DatasetArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="CSV files, loaded in this order.")],
    wait: Annotated[bool, typer.Option("--wait", help="Watch each load until it has ended.")] = False,
    reload: Annotated[
        str | None,
        typer.Option("--reload", metavar="REASON", help="Load a file again that was loaded before."),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            help="append: add rows; replace: the table has exactly the file's rows; upsert: by key.",
        ),
    ] = Mode.APPEND,
    entry: Annotated[
        str | None,
        typer.Option("--entry", metavar="NAME", help="Of a ZIP archive load only this file. [default: all]"),
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load files into a dataset, each as one batch, exactly once.

    The same file again is told as already ingested, and is no error. With --json: a list, one member a file.
    """
    here = plaza(context, url, as_json)
    dataset = DatasetName.parse(name)
    asked = {"reloadReason": reload} if reload else {}
    if mode is not Mode.APPEND:
        asked["mode"] = f"LOAD_MODE_{mode.upper()}"
    if entry:
        asked["entry"] = entry
    done: list[Loaded] = []
    try:
        for file in files:
            loaded = Loaded(file)
            done.append(loaded)
            try:
                load_file(here, dataset, loaded, asked, wait=wait)
            except NotLoggedIn as failure:
                # The files that follow would meet the same, and the exit code says what to do.
                loaded.failure = failure
                break
            except Failure as failure:
                loaded.failure = failure
            if not here.out.as_json:
                tell(here.out, loaded, several=len(files) > 1)
    finally:
        # Also when Ctrl-C ends it: what was loaded before stays loaded, and is told.
        if here.out.as_json:
            here.out.document([one.document() for one in done])
    failures = [one.failure for one in done if one.failure is not None]
    if failures and (len(files) == 1 or isinstance(failures[-1], NotLoggedIn)):
        raise failures[-1]
    if failures:
        here.out.note(f"{count(len(failures), 'file')} of {len(files):,} failed.")
        raise typer.Exit(int(ExitCode.REFUSED))


def load_file(
    here: Plaza, dataset: DatasetName, loaded: Loaded, asked: dict[str, str], *, wait: bool
) -> None:
    """Uploads the file and starts its load, or its replay; with `wait` until that has ended. What became of it
    is written into `loaded`. Raises what the API refuses, and `RunFailed`."""
    uploaded = upload(here, dataset.department, loaded.file)
    method = f"{dataset.path}:{'replay' if loaded.replay else 'ingest'}"
    if loaded.work_order:
        method = f"{loaded.work_order}:correct"
    try:
        loaded.run = here.api.post(method, {"upload": uploaded.get("name"), **asked})
    except Refused as refusal:
        if refusal.status != 409 or not refusal.reason.startswith(_ALREADY):
            raise
        loaded.already, loaded.version = True, _number(refusal.values.get("version"))
        loaded.run = {"name": refusal.values["run"]} if refusal.values.get("run") else {}
        # Without a version the first load is still on its way.
        if loaded.version or not loaded.run or not wait:
            return
    if not wait:
        return
    loaded.run = follow(here, str(loaded.run.get("name") or ""))
    loaded.version = whole(loaded.run, "version")
    error = loaded.run.get("error") or {}
    if str(error.get("reason") or "").startswith(_ALREADY):
        # Two loads of one file at once: the other one was first.
        loaded.already = True
        return
    check_succeeded(loaded.run)


def tell(out: Output, loaded: Loaded, *, several: bool) -> None:
    """What became of a file, for a person."""
    name = str(loaded.run.get("name") or "")
    if loaded.failure is not None:
        # A single failure is shown where every command's is.
        if several:
            out.note(f"{loaded.file}: not loaded")
            out.failure(loaded.failure)
    elif loaded.already:
        out.line(f"{loaded.file}: {_already(loaded)}")
    elif loaded.version:
        added = whole(loaded.run.get("progress") or {}, "rowsAccepted")
        removed = whole(loaded.run, "rowsRemoved")
        gone = f"{removed:,} replaced or removed, " if removed else ""
        out.line(
            f"{loaded.file}: version {loaded.version:,}, {count(added, 'row')} added, "
            f"{gone}{refusals(loaded.run)} refused"
        )
    elif "endTime" in loaded.run:
        out.line(f"{loaded.file}: no new version, {refusals(loaded.run)} rows refused")
    else:
        out.line(f"{loaded.file}: run {short(name)} started. {how_to_watch(name)}")
    for warning in loaded.run.get("warnings") or []:
        out.note(f"warning: {warning}")
    held = not loaded.work_order and loaded.run.get("dataset")
    if held and whole(loaded.run.get("progress") or {}, "rowsRefused"):
        dataset = short(loaded.run["dataset"])
        out.note(f"Refused rows with their reasons: plaza quarantine list {dataset} --run {short(name)}")


def _already(loaded: Loaded) -> str:
    run = short(loaded.run.get("name"))
    if loaded.version:
        said = f"already ingested as version {loaded.version:,}" + (f" by run {run}" if run else "")
    elif run:
        said = f"already ingested, or being ingested, by run {run}"
    else:
        said = "already ingested"
    if loaded.work_order:
        return f"{said}; nothing was loaded. Get the correction file anew, and correct that."
    how = (
        "Export the rows that are still held, and repair those."
        if loaded.replay
        else "Give --reload REASON to load it again."
    )
    return f"{said}; nothing was loaded. {how}"


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
