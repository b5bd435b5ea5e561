"""The files of a release on their way to somebody's disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from plaza_kit.tlog.proof import proof_path, sha256_of_file

from .failures import BrokenOff, NotVerified, Refused, StrangeAnswer, WrongUse
from .files import whole_file
from .names import DatasetName, word
from .output import count, whole
from .progress import bar
from .surroundings import Plaza

_SAFE_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
_RANGE = re.compile(r"bytes (\d+)-\d*/.*")
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that is on the disk, whole."""

    path: Path
    proof: Path
    size: int
    sha256: str
    resumed_from: int
    """Bytes that an earlier try had left."""
    already: bool
    """Nothing had to be fetched."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "file": str(self.path),
            "proof": str(self.proof),
            "sizeBytes": self.size,
            "sha256": self.sha256,
            "resumedFrom": self.resumed_from,
            "alreadyThere": self.already,
        }


def find_open_release(here: Plaza, dataset: DatasetName, number: int | None) -> dict[str, Any]:
    """The release as the public sees it; the newest without `number`. Raises `Refused` when it is not given out."""
    opened = here.api.open_get(f"{dataset.path}/openDataset")
    latest = opened.get("latestRelease") or {}
    every = [*([latest] if latest else []), *(opened.get("releases") or [])]
    if number is None:
        if not latest:
            raise Refused(f"{dataset} has no release that is given out")
        found = latest
    else:
        fitting = [one for one in every if whole(one, "release") == number]
        if not fitting:
            known = ", ".join(str(n) for n in sorted({whole(one, "release") for one in every}))
            raise Refused(f"{dataset} has no release {number:,}", remedy=f"There are: {known or 'none'}.")
        found = fitting[0]
    if word(found.get("state"), "RELEASE_STATE") == "withdrawn":
        why = found.get("withdrawReason") or "no reason is written on it"
        raise Refused(f"release {whole(found, 'release'):,} of {dataset} was withdrawn: {why}")
    if not found.get("files"):
        raise Refused(f"release {whole(found, 'release'):,} of {dataset} has no files")
    return found


def download_release(
    here: Plaza, dataset: DatasetName, found: dict[str, Any], directory: Path
) -> list[Downloaded]:
    """All files of the release with their proofs, each checked against the hash the release names.

    What is there already is not fetched again. Raises `BrokenOff` (the part stays, the next try goes on from
    it), `NotVerified`, `WrongUse` for a place that cannot be written or holds another file of that name.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUse(f"{directory} cannot be made: {error.strerror}") from error
    base = f"{dataset.path}/releases/{whole(found, 'release')}/files"
    return [_download(here, base, file, directory) for file in found["files"]]


def _download(here: Plaza, base: str, file: dict[str, Any], directory: Path) -> Downloaded:
    name, expected = str(file.get("fileName") or ""), str(file.get("sha256") or "").lower()
    size = whole(file, "sizeBytes")
    if _SAFE_NAME.fullmatch(name) is None or name.startswith("."):
        # The server names files, it does not choose places on this disk.
        raise StrangeAnswer(f"{name!r} is no name for a file", remedy="Report this.")
    target, address = directory / name, f"{base}/{quote(name, safe='')}"
    try:
        already, resumed = _is_there(target, expected), 0
        if not already:
            resumed = _fetch(here, address, target, size, expected)
    except OSError as error:
        raise WrongUse(f"{target} cannot be written: {error.strerror}") from error
    proof = proof_path(target)
    _fetch_proof(here, f"{address}.proof.json", proof)
    return Downloaded(target, proof, size, expected, resumed, already)


def _is_there(target: Path, expected: str) -> bool:
    if not target.exists():
        return False
    if sha256_of_file(target) == expected:
        return True
    raise WrongUse(
        f"{target} is there already and is another file", remedy="Move it away, or choose another --output."
    )


def _fetch(here: Plaza, address: str, target: Path, size: int, expected: str) -> int:
    part = target.with_name(f"{target.name}.part")
    kept = part.stat().st_size if part.exists() else 0
    if kept > size:
        part.unlink()
        kept = 0
    with bar(here.out, target.name, size) as advance:
        for received in _receive(here, address, part, kept, size):
            advance(received, size)
    if sha256_of_file(part) != expected:
        part.unlink()
        if kept:
            # The part may have been of another file: once more, from the start.
            return _fetch(here, address, target, size, expected)
        raise NotVerified(
            f"{target.name} is not what the release says: its SHA-256 is not {expected}",
            remedy="Nothing was kept. Download it again; if it comes so again, tell the city's data bureau.",
        )
    part.replace(target)
    return kept


def _receive(here: Plaza, address: str, part: Path, kept: int, size: int) -> Iterator[int]:
    """Completes the part, from `kept` on when the server can, and says how much there is of it."""
    if kept == size and part.exists():
        return
    headers = {"range": f"bytes={kept}-"} if kept else {}
    also = frozenset({_RANGE_NOT_SATISFIABLE}) if kept else frozenset[int]()
    with here.api.stream(address, anonymous=True, headers=headers, also=also) as response:
        if response.status_code == _RANGE_NOT_SATISFIABLE:
            return
        start = _start_of(response)
        if start not in (0, kept):
            raise StrangeAnswer(f"{address}: other bytes came than those asked for", remedy="Report this.")
        received = start
        with part.open("ab" if start else "wb") as stream:
            try:
                for piece in response.iter_bytes():
                    stream.write(piece)
                    received += len(piece)
                    yield received
            except httpx.HTTPError as error:
                raise _broken(part, received, size, str(error)) from error
    if received < size:
        raise _broken(part, received, size, "the answer ended early")


def _start_of(response: httpx.Response) -> int:
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0
    match = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return int(match[1]) if match else -1


def _broken(part: Path, received: int, size: int, why: str) -> BrokenOff:
    return BrokenOff(
        f"the download broke off after {received:,} of {count(size, 'byte')}: {why}",
        remedy=f"Run the command again: it goes on from {part}.",
    )


def _fetch_proof(here: Plaza, address: str, proof: Path) -> None:
    with here.api.stream(address, anonymous=True) as response, whole_file(proof) as stream:
        try:
            for piece in response.iter_bytes():
                stream.write(piece)
        except httpx.HTTPError as error:
            raise BrokenOff(f"the proof broke off: {error}", remedy="Run the command again.") from error
