"""`plaza dataset adopt`: a new contract comes into force."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from .dataset_history import show_differences
from .dataset_register import read_contract
from .names import DatasetArgument, DatasetName
from .output import whole
from .surroundings import JsonOption, UrlOption, plaza


def adopt(
    context: typer.Context,
    name: DatasetArgument,
    contract: Annotated[
        Path,
        typer.Argument(metavar="CONTRACT", exists=True, dir_okay=False, help="ODCS 3.1 document in YAML."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change, or why it is refused.")
    ] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a new contract in force and show how it differs from the one before.

    Once data are loaded: new optional fields, fields made optional, another order, other titles, units, steps,
    rules and format are taken. A changed type or key, a missing field and a new required one are refused.
    """
    here = plaza(context, url, as_json)
    path = DatasetName.parse(name).path
    parsed = here.api.post("contracts:parse", {"document": read_contract(contract)})
    # What a colleague adopts between the two calls is not overwritten.
    etag = here.api.get(path).get("etag") or ""
    body = {
        "contract": parsed.get("contract") or {},
        "etag": etag,
        "requestId": str(uuid.uuid4()),
        "validateOnly": dry_run,
    }
    answer = here.api.post(f"{path}:adoptContract", body)
    if here.out.as_json:
        here.out.document(answer)
        return
    show_differences(here.out, answer)
    number = whole(answer, "contractVersion")
    if not answer.get("differences"):
        here.out.note(f"{name}: contract {number} says this already; nothing changes")
    elif dry_run:
        here.out.note(f"{name}: would be contract {number}; nothing was written")
    else:
        here.out.note(f"{name}: contract {number} is in force")
