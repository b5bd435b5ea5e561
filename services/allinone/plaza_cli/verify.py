"""`plaza verify`: a downloaded file against its proof, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from plaza_kit.errors import PlazaError
from plaza_kit.signing import BadKey, KeyRing
from plaza_kit.tlog.proof import FileProof, VerifiedFile, proof_path, sha256_of_file, verify_file_proof

from .failures import NotLoggedIn, NotVerified, WrongUse
from .surroundings import JsonOption, Plaza, UrlOption, plaza


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The downloaded file.")],
    proof: Annotated[
        Path | None, typer.Option("--proof", help="Its proof. [default: FILE.proof.json]")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Trust this ledger key (name+hash+base64) instead of the pinned ones."),
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a downloaded file against the ledger, offline.

    Keys pinned at log-in are trusted: those of --url (or PLAZA_URL) when it is given, else all of them.
    """
    here = plaza(context, url, as_json)
    keys = _trusted(here, key)
    text = _read_proof(proof or proof_path(file))
    try:
        proved = verify_file_proof(FileProof.from_json(text), sha256_of_file(file), keys)
    except PlazaError as error:
        raise NotVerified(f"{file}: {error.message}", remedy=error.remedy) from error
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from error
    if here.out.as_json:
        here.out.document(_document(file, proved))
    else:
        _show(here, file, proved)


def _trusted(here: Plaza, given: list[str] | None) -> tuple[str, ...]:
    if given:
        try:
            KeyRing.from_vkeys(given)
        except BadKey as error:
            raise WrongUse(f"--key: {error.message}", remedy=error.remedy) from error
        return tuple(given)
    keys = here.sessions.pinned(here.url) if here.named else here.sessions.all_pinned()
    if not keys:
        raise NotLoggedIn(here.url, "no ledger key is given by --key, and none was pinned at a log-in")
    return keys


def _read_proof(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUse(
            f"the proof {path} cannot be read: {error.strerror}",
            remedy="Download it beside the file, or name it with --proof.",
        ) from error
    except ValueError as error:
        raise NotVerified(f"{path} is not UTF-8", remedy="Download the proof again.") from error


def _document(file: Path, proved: VerifiedFile) -> dict[str, object]:
    return {
        "verified": True,
        "file": str(file),
        "sha256": proved.sha256,
        "fileName": proved.file_name,
        "eventType": proved.event_type,
        "subject": proved.subject,
        "time": proved.time.isoformat(),
        "leafIndex": proved.leaf_index,
        "origin": proved.checkpoint.origin,
        "treeSize": proved.checkpoint.size,
        "key": proved.key.key_id,
        "event": proved.event,
    }


def _show(here: Plaza, file: Path, proved: VerifiedFile) -> None:
    here.out.line(f"Verified: {file} is what the ledger says.")
    here.out.facts(
        [
            ("SHA-256", proved.sha256),
            ("published as", proved.file_name),
            ("event", proved.event_type),
            ("about", proved.subject),
            ("at", proved.time.isoformat()),
            ("ledger", f"{proved.checkpoint.origin}, entry {proved.leaf_index} of {proved.checkpoint.size}"),
            ("signed by", proved.key.key_id),
        ]
    )
