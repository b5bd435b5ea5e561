"""`plaza quality anomalies`: what stands out, in the history of versions or in time series of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from .failures import WrongUse
from .names import constant, word
from .output import count, whole
from .quality_profile import VersionedArgument, versioned
from .surroundings import JsonOption, Plaza, UrlOption, plaza


def anomalies(
    context: typer.Context,
    dataset: VersionedArgument,
    time: Annotated[str | None, typer.Option("--time", help="Field with the time.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="Field with the readings.")] = None,
    series: Annotated[
        list[str] | None, typer.Option("--series", help="Field that tells series apart; may be repeated.")
    ] = None,
    where: Annotated[str | None, typer.Option("--where", help='Filter: station = "Dongsi".')] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only spike, level-shift, missing or frozen; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most so many.")] = 1000,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show versions that stand out in the dataset's history; with --time and --value: readings that do in the rows."""
    here = plaza(context, url, as_json)
    if (time is None) != (value is None):
        raise WrongUse("a time series needs both", remedy="Give --time and --value, or neither.")
    name, version = versioned(here, dataset)
    if time is None or value is None:
        _history(here, f"{name.path}/anomalies", limit)
        return
    body = {
        "version": version,
        "timeField": time,
        "valueField": value,
        "seriesFields": series or [],
        "filter": where or "",
        "kinds": [constant("SERIES_ANOMALY_KIND", each) for each in kind or []],
    }
    found: dict[str, Any] = {"anomalies": []}
    for page in _pages(here, f"{name.path}/anomalies:find", body, limit):
        found = {**page, "anomalies": [*found["anomalies"], *page.get("anomalies", [])]}
    found["anomalies"] = found["anomalies"][:limit]
    found.pop("nextPageToken", None)
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["series", "kind", "from", "to", "readings", "value", "expected", "by"],
        (_series(each) for each in found["anomalies"]),
    )
    for each in found.get("counts", []):
        said = word(each.get("kind"), "SERIES_ANOMALY_KIND")
        readings = count(whole(each, "readings"), "reading")
        here.out.note(f"{said}: {whole(each, 'anomalies'):,}, {readings}")


def _pages(here: Plaza, path: str, body: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    token, shown = "", 0
    while True:
        page = here.api.post(path, {**body, "pageSize": min(limit, 1000), "pageToken": token})
        yield page
        shown += len(page.get("anomalies", []))
        token = str(page.get("nextPageToken") or "")
        if not token or shown >= limit:
            return


def _history(here: Plaza, path: str, limit: int) -> None:
    found = list(here.api.pages(path, "anomalies", limit=limit))
    if here.out.as_json:
        here.out.document(found)
        return
    here.out.table(
        ["version", "figure", "field", "value", "expected", "z"],
        (
            (
                each.get("version"),
                word(each.get("figure"), "HISTORY_FIGURE"),
                each.get("field", ""),
                each.get("value", 0.0),
                each.get("expected", 0.0),
                round(each.get("deviation", 0.0), 1),
            )
            for each in found
        ),
    )


def _series(each: dict[str, Any]) -> tuple[object, ...]:
    values = [point["value"] for point in each.get("points", []) if "value" in point]
    spoken = each.get("kind") != "SERIES_ANOMALY_KIND_MISSING"
    return (
        ", ".join(each.get("series", [])),
        word(each.get("kind"), "SERIES_ANOMALY_KIND"),
        each.get("startTime"),
        each.get("endTime"),
        whole(each, "readings"),
        values[0] if values and spoken else "",
        each.get("expected", ""),
        f"{each['deviation']:.3g}" if "deviation" in each else "",
    )
