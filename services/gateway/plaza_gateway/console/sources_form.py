"""The form that registers a source: texts → message, and where in the form a refusal belongs; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza.ingestion.v1 import sources_pb2 as src

from plaza_gateway.console.editing import plain
from plaza_gateway.console.forms import by_place
from plaza_gateway.console.schedules import BadTime, Rhythm
from plaza_gateway.console.sources_view import CLASSES, TLS, source_view
from plaza_gateway.console.views import word
from plaza_gateway.transcode.problems import Complaint, Problem

Way = Literal["http", "postgres"]
MODES = ("append", "upsert", "replace")
TEXTS = (
    "id",
    "display_name",
    "class",
    "system",
    "owner",
    "basis",
    "justification",
    "dataset",
    "mode",
    "url",
    "credential",
    "credential_header",
    "host",
    "database",
    "user",
    "tls",
    "table",
    "query",
    "watermark",
    "lateness",
    "key_order",
    "every",
    "at",
    "cron",
)
"""Names in the form."""
NEEDED = ("id", "display_name", "class", "owner", "basis", "justification", "dataset")
NEEDED_OF: Mapping[str, tuple[str, ...]] = {"http": ("url",), "postgres": ("host", "database", "user")}
OWN_COMPLAINTS = (*NEEDED, "url", "host", "database", "user", "rows", "lateness", "at", "cron")
"""Places where the page says what to do in its own words."""
_PLACES: Mapping[str, str] = {
    "source_id": "id",
    "source_system": "system",
    "lawful_basis": "basis",
    "http.url": "url",
    "http.credential": "credential",
    "http.credential_header": "credential_header",
    "postgres.host": "host",
    "postgres.port": "host",
    "postgres.database": "database",
    "postgres.user": "user",
    "postgres.tls": "tls",
    "postgres.credential": "credential",
    "postgres.table": "table",
    "postgres.query": "query",
    "postgres.watermark_column": "watermark",
    "postgres.lateness": "lateness",
    "postgres.key_order": "key_order",
    "schedule.cron": "cron",
}
"""Where the message's fields stand in the form, if not under their own names."""
_MINUTES = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?", re.ASCII)
_HOST = re.compile(r"([^:]+)(?::([0-9]{1,5}))?|([0-9A-Fa-f:]+)", re.ASCII)
"""With its port; an IPv6 address stands alone."""
_OF_CONNECTOR = (
    "url",
    "credential",
    "credential_header",
    "host",
    "database",
    "user",
    "tls",
    "table",
    "query",
    "watermark",
    "lateness",
    "key_order",
)
"""Names in the form that are of the message's connector, which is changed whole."""


def values_of(form: Mapping[str, str]) -> dict[str, str]:
    """What stands in the form, so that a refusal does not lose it."""
    return {name: form.get(name, "").strip() for name in TEXTS}


def first_values(dataset: str) -> dict[str, str]:
    """Of an empty form."""
    return {
        **dict.fromkeys(TEXTS, ""),
        "mode": "append",
        "tls": "verify_full",
        "every": "hand",
        "dataset": dataset,
    }


def message_of(department: str, kind: str, values: Mapping[str, str]) -> src.Source:
    """What is registered. Raises Problem for what the page itself can see is missing."""
    wrong = [*_incomplete(kind, values, NEEDED)]
    try:
        cron = Rhythm.of_form(values).to_cron()
    except BadTime as error:
        wrong.append(str(error))
    if wrong:
        raise incomplete(wrong)
    source = src.Source()
    _fill(source, department, kind, values)
    if cron:
        source.schedule.cron = cron
    return source


def way_of(found: src.Source) -> Way:
    """How it is got at; that stays."""
    return "http" if found.HasField("http") else "postgres"


def values_from(found: src.Source) -> dict[str, str]:
    """The texts of a source that can be changed."""
    view = source_view(found)
    values = {
        "display_name": view.title,
        "class": view.class_,
        "system": view.system,
        "owner": view.owner,
        "basis": view.basis,
        "justification": view.justification,
        "dataset": view.dataset,
        "mode": view.mode,
    }
    if way_of(found) == "postgres":
        return values | _texts_of(found.postgres)
    web = found.http
    return values | {"url": web.url, "credential": web.credential, "credential_header": web.credential_header}


def changed_source(found: src.Source, department: str, values: Mapping[str, str]) -> src.Source:
    """The source as it would be; what the form does not say stays. Raises Problem for what the page can see is
    missing."""
    way = way_of(found)
    wrong = [*_incomplete(way, values, NEEDED[1:])]
    if wrong:
        raise incomplete(wrong)
    source = src.Source()
    source.CopyFrom(found)
    _fill(source, department, way, values)
    return source


def mask_of(way: Way, names: Iterable[str]) -> tuple[str, ...]:
    """The message's fields that these of the form belong to."""
    of_message = {**dict.fromkeys(_OF_CONNECTOR, way), "system": "source_system", "basis": "lawful_basis"}
    return tuple(dict.fromkeys(of_message.get(name, name) for name in names))


def _fill(source: src.Source, department: str, kind: str, values: Mapping[str, str]) -> None:
    source.display_name, source.owner = values["display_name"], values["owner"]
    source.lawful_basis, source.justification = values["basis"], values["justification"]
    source.dataset = f"{department}/datasets/{values['dataset']}"
    source.source_system = f"{department}/sourceSystems/{values['system']}" if values["system"] else ""
    source.mode = ing.LoadMode.Value(f"LOAD_MODE_{_one_of(values['mode'], MODES).upper()}")
    class_ = src.SourceClass.Value(f"SOURCE_CLASS_{_one_of(values['class'], CLASSES).upper()}")
    setattr(source, "class", class_)
    if kind == "http":
        source.http.url = values["url"]
        source.http.credential = values["credential"]
        source.http.credential_header = values["credential_header"]
    else:
        _put_database(source.postgres, values)


def incomplete(places: Iterable[str]) -> Problem:
    """What the page itself sees is missing; it has words of its own for each place."""
    return Problem(400, "FORM_INCOMPLETE", "", errors=tuple(Complaint("body", place, "") for place in places))


def _incomplete(kind: str, values: Mapping[str, str], needed: Iterable[str]) -> Iterator[str]:
    yield from (name for name in (*needed, *NEEDED_OF[kind]) if not values[name])
    if kind == "postgres":
        if values["host"] and not _HOST.fullmatch(values["host"]):
            yield "host"
        if bool(values["table"]) == bool(values["query"]):
            yield "rows"
        if values["lateness"] and not _MINUTES.fullmatch(values["lateness"]):
            yield "lateness"


def _put_database(database: src.PostgresConnector, values: Mapping[str, str]) -> None:
    """What differs from what is there. Some of it the form cannot say, such as a table's name with a full stop in it:
    that stays unless it is changed."""
    before = _texts_of(database)
    changed = {name: plain(values[name]) for name in before if plain(values[name]) != plain(before[name])}
    if "host" in changed:
        address = _HOST.fullmatch(changed["host"])
        assert address is not None, "looked at before"
        database.host, database.port = address[1] or address[3], int(address[2] or 0)
    database.database, database.user = values["database"], values["user"]
    database.tls = src.TlsMode.Value(f"TLS_MODE_{_one_of(values['tls'], TLS).upper()}")
    database.credential = values["credential"]
    if query := changed.get("query"):
        database.query = query
    elif table := changed.get("table"):
        database.table.schema, _, database.table.table = table.rpartition(".")
    database.watermark_column = values["watermark"]
    if "lateness" in changed:
        database.ClearField("lateness")
        if lateness := round(float(changed["lateness"] or 0) * 60):
            database.lateness.seconds = lateness
    if "key_order" in changed:
        database.key_order[:] = filter(None, re.split(r"[\s,，、]+", changed["key_order"]))


def _texts_of(database: src.PostgresConnector) -> dict[str, str]:
    """As the form has them."""
    lateness, port = database.lateness.seconds, database.port
    return {
        "host": f"{database.host}:{port}" if port and ":" not in database.host else database.host,
        "database": database.database,
        "user": database.user,
        "credential": database.credential,
        "tls": word(src.TlsMode, database.tls, "TLS_MODE_") or TLS[0],
        "table": ".".join(filter(None, (database.table.schema, database.table.table))),
        "query": database.query,
        "watermark": database.watermark_column,
        "lateness": f"{round(lateness / 60, 2):g}" if lateness else "",
        "key_order": ", ".join(database.key_order),
    }


def errors_of(problem: Problem) -> dict[str, str]:
    """What is wrong by the place in the form; empty where the page has words of its own."""
    if problem.reason == "SOURCE_EXISTS":
        return {"id": problem.detail}
    return by_place(problem, place_of)


def place_of(pointer: str) -> str:
    """The form's field that the service complains about; `main` when the form has none."""
    path = pointer.removeprefix("source.").partition("[")[0]
    found = next(
        (place for name, place in _PLACES.items() if path == name or path.startswith(f"{name}.")), path
    )
    return found if found in (*TEXTS, "rows") else "main"


def _one_of(value: str, known: tuple[str, ...]) -> str:
    """A choice of the page; anything else was not sent by it."""
    return value if value in known else known[0]
