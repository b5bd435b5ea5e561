"""`plaza dataset infer`: a proposal of a contract, read off a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .files import refuse_existing, whole_file
from .following import check_succeeded, follow
from .names import DepartmentOption, resolve_department, word
from .output import Output, count, whole
from .surroundings import JsonOption, Plaza, UrlOption, plaza
from .upload import upload


def infer(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file.")],
    department: DepartmentOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the contract here, ODCS 3.1 in YAML.")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            "--missing",
            metavar="TOKEN",
            help="Say that this text means no value in every field; may be repeated.",
        ),
    ] = None,
    entry: Annotated[
        str | None,
        typer.Option("--entry", metavar="NAME", help="Of a ZIP archive read only this file. [default: all]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --output.")] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a contract for a file, with reasons. Nothing is registered."""
    here = plaza(context, url, as_json)
    if output is not None:
        refuse_existing(output, force)
    owner = resolve_department(here.api, department)
    proposal = _infer(here, owner, file, missing or [], entry)
    contract = proposal.get("contract") or {}
    if output is not None:
        document = here.api.post_for_bytes(
            "contracts:render", {"contract": contract, "title": file.stem[:200]}
        )
        with whole_file(output) as stream:
            stream.write(document)
    if here.out.as_json:
        told = {**proposal, "contract": contract, "department": f"departments/{owner}", "registered": False}
        here.out.document({**told, **({"output": str(output)} if output else {})})
        return
    _show(here.out, contract, proposal)
    here.out.line("")
    here.out.line("This is a proposal: nothing was registered.")
    here.out.line(_next(owner, file, output))


def _infer(here: Plaza, department: str, file: Path, missing: list[str], entry: str | None) -> dict[str, Any]:
    uploaded = upload(here, department, file)
    wanted: dict[str, Any] = {"missingValues": list(dict.fromkeys(missing))} if missing else {}
    if entry:
        wanted["entry"] = entry
    started = here.api.post(f"{uploaded.get('name')}:infer", wanted)
    run = follow(here, str(started.get("name") or ""))
    check_succeeded(run)
    return dict(run.get("proposal") or {})


def _show(out: Output, contract: dict[str, Any], proposal: dict[str, Any]) -> None:
    key = contract.get("key") or []
    reasons = {one.get("field"): one.get("reasons") or [] for one in proposal.get("fields") or []}
    out.table(
        ["field", "heading", "type", "required", "key", "missing", "reasons"],
        (
            (
                one.get("name"),
                one.get("sourceName"),
                word(one.get("type"), "FIELD_TYPE"),
                bool(one.get("required")),
                one.get("name") in key,
                _tokens(one.get("missingValues")),
                "; ".join(reasons.get(one.get("name")) or []),
            )
            for one in contract.get("fields") or []
        ),
    )
    out.line("")
    ragged, faulty = whole(proposal, "raggedRows"), whole(proposal, "faultyRows")
    everywhere = (contract.get("format") or {}).get("missingValues") or []
    out.facts(
        [
            ("rows", whole(proposal, "rows")),
            ("ragged rows", f"{ragged:,} (they would be refused)" if ragged else None),
            ("faulty rows", f"{faulty:,} (they would be refused)" if faulty else None),
            ("file", "; ".join(proposal.get("formatReasons") or []) or None),
            ("key", ", ".join(key) or "none"),
            ("because", proposal.get("keyReason")),
            ("missing everywhere", _tokens(everywhere)),
            *(("steps", count(len(steps), "step")) for steps in [contract.get("steps")] if steps),
        ]
    )


def _next(department: str, file: Path, output: Path | None) -> str:
    if output is None:
        return "To keep it, run the same again with --output contract.yaml, then read and correct it."
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in file.stem.lower()).strip("-")
    dataset = name[:63] if name[:1].isalpha() else "DATASET"
    return (
        f"The contract is in {output}. Read and correct it, then: plaza dataset register {department}/{dataset} "
        f"--contract {output} --grade GRADE --sharing-class CLASS"
    )


def _tokens(tokens: list[str] | None) -> str:
    """Quoted: a blank is a token too."""
    return ", ".join(json.dumps(token, ensure_ascii=False) for token in tokens or [])
