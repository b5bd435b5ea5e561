"""`plaza source add`: a source with its address, and why it is lawful."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

import typer

from .failures import WrongUse
from .ingest import Mode
from .names import DatasetName, constant, without_empty
from .source_names import SourceArgument, SourceName, short_source
from .source_system import SystemClass
from .surroundings import JsonOption, UrlOption, plaza

_DATABASE = re.compile(r"(?:postgresql://)?([^/:@\s]+)(?::([0-9]{1,5}))?/([^/?\s]+)")
_LATENESS = re.compile(r"([0-9]{1,9})([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Tls(StrEnum):
    """How a database connection is protected."""

    VERIFY_FULL = "verify-full"
    REQUIRE = "require"
    DISABLE = "disable"


def add(
    context: typer.Context,
    name: SourceArgument,
    dataset: Annotated[str, typer.Option("--dataset", help="DEPARTMENT/DATASET that it fills.")],
    title: Annotated[str, typer.Option("--title", help="Name shown to people.")],
    source_class: Annotated[
        SystemClass, typer.Option("--class", help="What kind of body the data come from.")
    ],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    basis: Annotated[str, typer.Option("--basis", help="The law or decision that permits the collection.")],
    justification: Annotated[
        str, typer.Option("--justification", help="Why exactly this much is collected and no more.")
    ],
    system: Annotated[
        str | None, typer.Option("--system", help="Its registered source system, by id of the department.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option("--mode", help="What a pull does to the rows that are there.")
    ] = Mode.APPEND,
    http: Annotated[
        str | None, typer.Option("--http", metavar="URL", help="A file at a web address.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME: VALUE", help="Header to send; no secrets.")
    ] = None,
    credential: Annotated[
        str | None, typer.Option("--credential", help="Name of the secret that the worker keeps.")
    ] = None,
    credential_header: Annotated[
        str | None, typer.Option("--credential-header", help="Header for it. [default: Authorization]")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option("--max-bytes", min=1, help="Largest file taken.")] = None,
    postgres: Annotated[
        str | None, typer.Option("--postgres", metavar="HOST[:PORT]/DATABASE", help="A PostgreSQL database.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Database user.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="[SCHEMA.]TABLE", help="Table or view to read.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="One SELECT to read instead.")] = None,
    tls: Annotated[Tls, typer.Option("--tls", help="Protection of the connection.")] = Tls.VERIFY_FULL,
    watermark: Annotated[
        str | None, typer.Option("--watermark", metavar="COLUMN", help="Read only rows above its last value.")
    ] = None,
    lateness: Annotated[
        str | None,
        typer.Option("--lateness", metavar="10m", help="Look so far behind it again (s, m, h, d); upsert."),
    ] = None,
    key_order: Annotated[
        str | None, typer.Option("--key-order", metavar="A,B", help="Columns that tell rows apart.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option("--cron", help='When it is pulled, like "30 2 * * *". [default: by hand]')
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help="Zone of --cron. [default: Asia/Shanghai]")
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a source. Nothing is pulled before its schedule, or `plaza source pull`."""
    here = plaza(context, url, as_json)
    source = SourceName.parse(name)
    if bool(http) == bool(postgres):
        raise WrongUse(
            "where does it come from?", remedy="Give either --http URL or --postgres HOST/DATABASE."
        )
    body: dict[str, Any] = {
        "displayName": title,
        "class": constant("SOURCE_CLASS", source_class),
        "sourceSystem": f"departments/{source.department}/sourceSystems/{system}" if system else None,
        "owner": owner,
        "lawfulBasis": basis,
        "justification": justification,
        "dataset": DatasetName.parse(dataset).path,
        "mode": constant("LOAD_MODE", mode),
        "schedule": without_empty({"cron": cron, "zone": zone}) if cron else None,
    }
    if http:
        _refuse_beside(
            "--http", {"--user": user, "--table": table, "--query": query, "--watermark": watermark}
        )
        body["http"] = without_empty(
            {
                "url": http,
                "headers": dict(map(_header, header or [])),
                "credential": credential,
                "credentialHeader": credential_header,
                "maxBytes": max_bytes,
            }
        )
    else:
        _refuse_beside("--postgres", {"--header": header, "--max-bytes": max_bytes})
        body["postgres"] = without_empty(
            {
                **_database(postgres or ""),
                **_rows(table, query),
                "user": user,
                "tls": constant("TLS_MODE", tls),
                "credential": credential,
                "watermarkColumn": watermark,
                "lateness": _duration(lateness),
                "keyOrder": [part.strip() for part in key_order.split(",")] if key_order else None,
            }
        )
    made = here.api.post(
        f"departments/{source.department}/sources", without_empty(body), {"sourceId": source.source}
    )
    if here.out.as_json:
        here.out.document(made)
        return
    here.out.line(f"{short_source(made.get('name'))}: registered")
    here.out.note(f"Pull it with: plaza source pull {source} --wait")


def _refuse_beside(option: str, others: dict[str, object]) -> None:
    given = [name for name, value in others.items() if value]
    if given:
        raise WrongUse(f"{given[0]} does not go with {option}", remedy=f"Leave {', '.join(given)} out.")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise WrongUse(f"--header {text!r} is not NAME: VALUE")
    return name.strip(), value.strip()


def _database(text: str) -> dict[str, Any]:
    match = _DATABASE.fullmatch(text)
    if match is None:
        raise WrongUse(
            f"--postgres {text!r} is not HOST[:PORT]/DATABASE",
            remedy="Write it without user and password: --user names the one, --credential the other.",
        )
    return {"host": match[1], "port": int(match[2]) if match[2] else None, "database": match[3]}


def _rows(table: str | None, query: str | None) -> dict[str, Any]:
    if bool(table) == bool(query):
        raise WrongUse("which rows?", remedy="Give either --table [SCHEMA.]TABLE or --query SELECT….")
    if query:
        return {"query": query}
    schema, _, bare = (table or "").rpartition(".")
    return {"table": without_empty({"schema": schema, "table": bare})}


def _duration(text: str | None) -> str | None:
    if text is None:
        return None
    match = _LATENESS.fullmatch(text)
    if match is None:
        raise WrongUse(f"--lateness {text!r} is no time", remedy="Write for instance 90s, 10m, 2h or 1d.")
    return f"{int(match[1]) * _SECONDS[match[2]]}s"
