"""`plaza source credential`: a secret goes to the worker's own folder, and nowhere else."""

from __future__ import annotations

import getpass
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from .failures import WrongUse
from .names import parse_department
from .output import Output

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_MOST_CHARACTERS = 60_000


def credential(
    department: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="Whose worker uses it.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that sources call it by.")],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="The worker's folder of secrets. [default: the one below PLAZA_HOME]"),
    ] = None,
) -> None:
    """Write a secret that sources name: a password, or the value of a header. It is read from standard input.

    Works on the worker's machine: the secret is not sent to the Plaza.
    """
    own = parse_department(department)
    if _NAME.fullmatch(name) is None:
        raise WrongUse(
            f"{name!r} is not the name of a credential",
            remedy="Use lower-case letters, digits and hyphens, a letter first, at most 63.",
        )
    if folder is None:
        # Loaded here alone: the other commands need no server code.
        from plaza_cli.home import Home

        folder = Home.from_environment().department_secrets(own)
    path = folder / name
    keep_secret(path, _secret(name))
    Output(as_json=False).line(f"{path}: written, readable by this user only")


def keep_secret(path: Path, text: str) -> None:
    """Writes it whole or not at all, readable by this user only. Raises `WrongUse` when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        temporary.replace(path)
    except OSError as error:
        raise WrongUse(f"{path} cannot be written: {error.strerror}") from error


def _secret(name: str) -> str:
    text = getpass.getpass(f"Secret {name}: ") if sys.stdin.isatty() else sys.stdin.read(_MOST_CHARACTERS)
    text = text.rstrip("\r\n")
    if not text or "\n" in text or not text.isprintable():
        raise WrongUse(
            "the secret is not one line of text",
            remedy="Give it on standard input: printf %s SECRET | plaza source credential …",
        )
    return text
