"""The front page: what waits for somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from plaza.catalogue.v1 import catalogue_pb2 as cat
from plaza.ingestion.v1 import ingestion_pb2 as ing
from starlette.responses import Response

from plaza_gateway.console import pages, tasks, views
from plaza_gateway.console.desk import each
from plaza_gateway.console.visits import Visit, html

LOOKED_AT = 100
"""Datasets whose releases the front page asks for: those that were loaded last."""


async def inbox(visit: Visit) -> Response:
    """What waits for me."""
    datasets, runs = await asyncio.gather(
        visit.desk.datasets(visit.department), visit.desk.runs(visit.department)
    )
    lately = latest(datasets, runs)
    held, releases = await asyncio.gather(
        visit.desk.held_rows(visit.department), each([_releases(visit, name) for name in lately])
    )
    rows = [views.dataset_row(found, held.get(found.name, 0)) for found in datasets]
    view = tasks.inbox(rows, [views.run_view(run) for run in runs], dict(releases))
    return html(pages.inbox(visit, view))


def latest(datasets: Sequence[cat.Dataset], runs: Sequence[ing.Run]) -> list[str]:
    """Names of the datasets with data or a load, the latest first: only they can have something that waits."""
    lately = list(dict.fromkeys(run.dataset for run in runs if run.dataset))
    there = {found.name for found in datasets}
    loaded = [found for found in datasets if found.latest_version.version]
    loaded.sort(key=lambda found: found.latest_version.commit_time.ToNanoseconds(), reverse=True)
    names = dict.fromkeys([*(name for name in lately if name in there), *(found.name for found in loaded)])
    return list(names)[:LOOKED_AT]


async def _releases(visit: Visit, dataset: str) -> tuple[str, tuple[views.ReleaseRow, ...]]:
    found = await visit.desk.releases(dataset)
    return views.last(dataset), tuple(views.release_row(release) for release in found)
