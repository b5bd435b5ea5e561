"""`plaza release …`: versions opened to the public."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .download import download_release, find_open_release
from .failures import BrokenOff, NotReachable, Refused, RunFailed
from .names import DatasetArgument, DatasetName, word
from .output import Output, count, moment, score, whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza

release = typer.Typer(
    no_args_is_help=True, help="Releases: open data to everybody, get them.", rich_markup_mode=None
)

_ATTEMPTS = 6
"""Questions in a row without an answer before we stop asking; the release itself goes on."""
_LONGEST_PAUSE_SECONDS = 3.0
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


@release.command()
def publish(
    context: typer.Context,
    name: DatasetArgument,
    data_version: Annotated[
        int | None, typer.Option("--data-version", min=1, help="Version of the data. [default: newest]")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it is published and in the ledger.")
    ] = True,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a version to the public. What does not pass a gate is refused with the gate's name."""
    here = plaza(context, url, as_json)
    dataset = DatasetName.parse(name)
    made = here.api.post(f"{dataset.path}/releases", {"version": data_version} if data_version else {})
    if wait:
        made = _until_built(here, dataset, made)
    if here.out.as_json:
        here.out.document(made)
    else:
        _show(here.out, dataset, made)
    if _state(made) == "failed":
        said = made.get("error") or "no reason is written on it"
        raise RunFailed(f"release {_number(made):,} of {dataset} failed: {said}")


@release.command("list")
def list_releases(
    context: typer.Context,
    name: DatasetArgument,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a dataset's releases, newest first."""
    here = plaza(context, url, as_json)
    found = list(here.api.pages(f"{DatasetName.parse(name).path}/releases", "releases"))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        [
            "release",
            "state",
            "version",
            "rows",
            "score",
            "light",
            "ledger",
            "published",
            "files",
            "withdrawn because",
        ],
        (
            (
                _number(one),
                _state(one),
                whole(one, "version"),
                whole(one, "rows"),
                score(one),
                word(one.get("light"), "LIGHT"),
                _ledger_index(one),
                moment(one.get("publishTime")),
                ", ".join(str(file.get("fileName")) for file in one.get("files") or []),
                one.get("withdrawReason"),
            )
            for one in found
        ),
    )


@release.command()
def withdraw(
    context: typer.Context,
    name: DatasetArgument,
    number: Annotated[int, typer.Argument(metavar="RELEASE", min=1, help="Its number.")],
    reason: Annotated[str, typer.Option("--reason", help="Shown on the tombstone, to everybody.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop giving a release out; a tombstone with the reason stays."""
    here = plaza(context, url, as_json)
    dataset = DatasetName.parse(name)
    made = here.api.post(f"{dataset.path}/releases/{number}:withdraw", {"reason": reason})
    if here.out.as_json:
        here.out.document(made)
    else:
        here.out.line(
            f"Release {number:,} of {dataset} is {_state(made)}: {made.get('withdrawReason') or reason}"
        )


@release.command()
def download(
    context: typer.Context,
    name: DatasetArgument,
    number: Annotated[
        int | None, typer.Argument(metavar="RELEASE", min=1, help="Its number. [default: newest]")
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", file_okay=False, help="Directory to write to; made when it is not there."),
    ] = Path(),
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Get the files of a release with their proofs; no log-in is needed. A download that broke off goes on."""
    here = plaza(context, url, as_json)
    dataset = DatasetName.parse(name)
    found = find_open_release(here, dataset, number)
    files = download_release(here, dataset, found, output)
    if here.out.as_json:
        here.out.document([file.document() for file in files])
        return
    for file in files:
        how = "was there already" if file.already else count(file.size, "byte")
        here.out.line(f"{file.path}: {how}, SHA-256 {file.sha256}")
    for file in files:
        here.out.line(f"Check it against the ledger with: plaza verify {file.path}")


def _until_built(here: Plaza, dataset: DatasetName, made: dict[str, Any]) -> dict[str, Any]:
    number, silent, pause = _number(made), 0, 0.5
    try:
        while _state(made) == "approved":
            here.surroundings.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            try:
                made = here.api.get(f"{dataset.path}/releases/{number}")
                silent = 0
            except (NotReachable, Refused) as failure:
                if isinstance(failure, Refused) and failure.status not in _PASSING:
                    raise
                silent += 1
                if silent >= _ATTEMPTS:
                    raise BrokenOff(
                        f"release {number:,} of {dataset} cannot be watched: {failure.message}",
                        remedy=f"It may go on. Look at it with: plaza release list {dataset}",
                    ) from failure
    except KeyboardInterrupt:
        here.out.note(f"The release goes on. Look at it with: plaza release list {dataset}")
        raise
    return made


def _show(out: Output, dataset: DatasetName, made: dict[str, Any]) -> None:
    out.facts(
        [
            ("release", f"{dataset} release {_number(made):,}"),
            ("state", _state(made)),
            ("version", whole(made, "version") or None),
            ("rows", whole(made, "rows")),
            ("content SHA-256", made.get("contentSha256")),
            ("score", score(made)),
            ("light", word(made.get("light"), "LIGHT")),
            ("licence", made.get("licence")),
            ("ledger entry", _ledger_index(made)),
            ("published", moment(made.get("publishTime"))),
        ]
    )
    if made.get("files"):
        out.line("")
        out.table(
            ["file", "bytes", "SHA-256"],
            ((one.get("fileName"), whole(one, "sizeBytes"), one.get("sha256")) for one in made["files"]),
        )
    if _state(made) == "approved":
        out.line(f"It is being built. Look at it with: plaza release list {dataset}")


def _state(found: dict[str, Any]) -> str:
    return word(found.get("state"), "RELEASE_STATE")


def _number(found: dict[str, Any]) -> int:
    return whole(found, "release")


def _ledger_index(found: dict[str, Any]) -> int | None:
    # The first entry of a ledger has index 0: only absence means that there is none.
    return whole(found, "ledgerIndex") if "ledgerIndex" in found else None
