"""Messages of `PortalService` → view models. Pure; what a message does not say stays unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from plaza.catalogue.v1 import catalogue_pb2
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza_design.i18n import LocalText

from plaza_gateway.portal.views import (
    DatasetSummary,
    DatasetView,
    DepartmentStones,
    DimensionView,
    Facet,
    FacetName,
    FacetValue,
    FieldView,
    FileView,
    HomeView,
    LedgerView,
    LicenceView,
    QualityView,
    ReleaseState,
    ReleaseSummary,
    RowsView,
    RuleView,
    SearchQuery,
    TombstoneView,
    format_name,
)

_STATES: Mapping[int, ReleaseState] = {
    pb.RELEASE_STATE_PUBLISHED: "published",
    pb.RELEASE_STATE_SUPERSEDED: "superseded",
    pb.RELEASE_STATE_WITHDRAWN: "withdrawn",
}


def home_view(summary: pb.PortalSummary) -> HomeView:
    """The front page."""
    latest = summaries(summary.latest)
    newest = next(
        (each for each in summary.latest if each.HasField("latest_release") and each.latest_release.files),
        None,
    )
    return HomeView(
        datasets=summary.dataset_count,
        departments=tuple(
            DepartmentStones(_last(each.department), _text(each, "display_name"), each.count)
            for each in summary.departments
        ),
        latest=latest,
        sample=_files(newest.latest_release)[0] if newest is not None else None,
    )


FACETS: Mapping[pb.OpenFacet.ValueType, FacetName] = {
    pb.OPEN_FACET_DEPARTMENT: "department",
    pb.OPEN_FACET_CATEGORY: "category",
    pb.OPEN_FACET_KEYWORD: "keyword",
    pb.OPEN_FACET_FORMAT: "format",
    pb.OPEN_FACET_UPDATE_CYCLE: "cycle",
    pb.OPEN_FACET_LICENCE: "licence",
}
_CYCLE_PREFIX = "UPDATE_CYCLE_"


def facets(counted: Iterable[pb.OpenFacetCounts]) -> tuple[Facet, ...]:
    """What the results can be narrowed down by."""
    return tuple(_facet(each, FACETS[each.facet]) for each in counted if each.facet in FACETS)


def _facet(counted: pb.OpenFacetCounts, name: FacetName) -> Facet:
    values = []
    for each in counted.values:
        value = each.value
        if name == "department":
            value = _last(value)
        elif name == "cycle":
            value = _cycle(value)
        title = _text(each, "display_name")
        # A cycle that this page does not know cannot be named, so it cannot be chosen.
        if value != "unspecified":
            values.append(FacetValue(value, each.count, title))
    return Facet(name, tuple(values))


def search_request(query: SearchQuery, page_size: int, page_token: str) -> pb.SearchOpenDatasetsRequest:
    """What the service is asked."""

    def chosen(name: FacetName) -> list[str]:
        return [value for facet, value in query.chosen if facet == name]

    return pb.SearchOpenDatasetsRequest(
        query=query.words,
        departments=[f"departments/{value}" for value in chosen("department")],
        category=chosen("category"),
        keyword=chosen("keyword"),
        format=chosen("format"),
        update_cycle=[_CYCLE_PREFIX + value.upper() for value in chosen("cycle")],
        licence=chosen("licence"),
        facets=list(FACETS),
        page_size=page_size,
        page_token=page_token,
    )


def rows_view(found: pb.ReadReleaseRowsResponse, page_size: int, most: int) -> RowsView:
    """Rows that a query found; `most` can be leafed through."""
    return RowsView(
        fields=_fields(contract_pb2.Contract(fields=found.fields)),
        rows=tuple(tuple(None if c.is_null else c.text for c in row.cells) for row in found.rows),
        total=found.total_size,
        page_size=page_size,
        pages=max(-(-min(found.total_size, most) // page_size), 1),
    )


def fields_view(fields: Iterable[contract_pb2.Field]) -> tuple[FieldView, ...]:
    """Fields of an older release."""
    return _fields(contract_pb2.Contract(fields=fields))


def summaries(datasets: Iterable[pb.OpenDataset]) -> tuple[DatasetSummary, ...]:
    """Rows of a list. A dataset without an open release has nothing to be listed with."""
    return tuple(_summary(each) for each in datasets if each.HasField("latest_release"))


def _summary(found: pb.OpenDataset) -> DatasetSummary:
    department, dataset = _ids(found.name)
    release = found.latest_release
    return DatasetSummary(
        department=department,
        dataset=dataset,
        title=_text(found, "display_name"),
        department_title=_text(found, "department_display_name"),
        released_at=_moment(release.publish_time),
        rows=release.rows,
        score=release.score if release.HasField("score") else None,
        light=_word(grades_pb2.Light, release.light, "LIGHT_", "none"),
        description=_text(found, "description"),
        formats=tuple(dict.fromkeys(each.format for each in _files(release))),
        update_cycle=_cycle(found.update_cycle),
    )


def dataset_view(
    found: pb.OpenDataset, department: str, dataset: str, number: int | None
) -> DatasetView | TombstoneView | None:
    """A dataset at a release, the newest open one for None. None when there never was such a release."""
    newest = found.latest_release if found.HasField("latest_release") else None
    if number is None:
        shown = newest
    else:
        shown = next((each for each in found.releases if each.release == number), None)
        if shown is None:
            return None
    if shown is None or shown.state == pb.RELEASE_STATE_WITHDRAWN:
        return _tombstone(found, department, dataset, shown, newest)
    # Fields, rows and rules are told of the newest release only; an older one may have had others.
    current = newest is not None and shown.release == newest.release
    return DatasetView(
        department=department,
        dataset=dataset,
        title=_text(found, "display_name"),
        description=_text(found, "description"),
        department_title=_text(found, "department_display_name"),
        release=_release(shown),
        newest_release=newest.release if newest is not None else shown.release,
        rows=shown.rows,
        files=_files(shown),
        fields=_fields(found.contract) if current else (),
        preview=_preview(found) if current else (),
        quality=_quality(found, shown, current),
        licence=_licence(shown.licence),
        grade=_word(grades_pb2.CityLevel, found.city_level, "CITY_LEVEL_", None),
        sharing_class=_word(grades_pb2.SharingClass, found.sharing_class, "SHARING_CLASS_", None),
        update_cycle=_cycle(found.update_cycle),
        ledger=LedgerView(shown.ledger_index) if shown.HasField("ledger_index") else None,
        releases=tuple(_release(each) for each in found.releases if each.state in _STATES),
        content_sha256=shown.content_sha256 or None,
        code=found.code,
        category=found.category,
        keywords=tuple(found.keywords),
        rows_url=f"/api/v1/{shown.name}/rows" if shown.files else None,
        package_url=f"/api/v1/{shown.name}/datapackage.json" if shown.files else None,
    )


def _tombstone(
    found: pb.OpenDataset,
    department: str,
    dataset: str,
    shown: pb.Release | None,
    newest: pb.Release | None,
) -> TombstoneView:
    # Of a dataset without any open release, the reason is the one its last release was withdrawn for.
    told = shown or next(iter(found.releases), None)
    return TombstoneView(
        department=department,
        dataset=dataset,
        title=_text(found, "display_name"),
        department_title=_text(found, "department_display_name"),
        release=shown.release if shown is not None else None,
        reason=LocalText(told.withdraw_reason if told is not None else ""),
        newest_release=newest.release if newest is not None else None,
        ledger_index=shown.ledger_index if shown is not None and shown.HasField("ledger_index") else None,
    )


def _release(release: pb.Release) -> ReleaseSummary:
    return ReleaseSummary(
        number=release.release,
        version=release.version,
        state=_STATES.get(release.state, "published"),
        released_at=_moment(release.publish_time),
        rows=release.rows,
        note=LocalText(release.withdraw_reason),
    )


def _files(release: pb.Release) -> tuple[FileView, ...]:
    return tuple(_file(release, each) for each in release.files)


def _file(release: pb.Release, file: pb.ReleaseFile) -> FileView:
    url = f"/api/v1/{release.name}/files/{quote(file.file_name, safe='')}"
    return FileView(
        name=file.file_name,
        format=format_name(file.file_name.rpartition(".")[2].upper()),
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        sm3=file.sm3,
        url=url,
        # There is a proof when there is an entry to be proved.
        proof_url=f"{url}.proof.json" if release.HasField("ledger_index") else None,
    )


def _fields(contract: contract_pb2.Contract) -> tuple[FieldView, ...]:
    return tuple(
        FieldView(
            name=each.name,
            type=_word(contract_pb2.FieldType, each.type, "FIELD_TYPE_", "string"),
            title=LocalText(each.title),
            unit=each.unit,
            description=LocalText(each.description),
            required=each.required,
            is_key=each.name in contract.key,
        )
        for each in contract.fields
    )


def _preview(found: pb.OpenDataset) -> tuple[tuple[str | None, ...], ...]:
    width = len(found.contract.fields)
    return tuple(
        tuple(None if cell.is_null else cell.text for cell in row.cells)
        for row in found.preview
        # A row of another width stands under the wrong headings.
        if len(row.cells) == width
    )


def _quality(found: pb.OpenDataset, release: pb.Release, current: bool) -> QualityView:
    return QualityView(
        score=release.score if release.HasField("score") else None,
        light=_word(grades_pb2.Light, release.light, "LIGHT_", "none"),
        dimensions=tuple(
            DimensionView(_word(grades_pb2.Dimension, each.dimension, "DIMENSION_", "validity"), each.score)
            for each in found.dimensions
            if current and each.dimension
        ),
        rules=tuple(_rule(each) for each in found.rules if current and each.dimension),
    )


def _rule(rule: pb.RuleSummary) -> RuleView:
    return RuleView(
        title=LocalText(rule.title),
        dimension=_word(grades_pb2.Dimension, rule.dimension, "DIMENSION_", "validity"),
        passed=rule.passed,
        failed=rule.failed,
        not_applicable=rule.not_applicable,
        pass_rate=rule.pass_rate if rule.HasField("pass_rate") else None,
        threshold=rule.threshold_percent,
        met=rule.met,
    )


def _licence(spdx: str) -> LicenceView | None:
    if not spdx:
        return None
    # SPDX keeps a page for each of its ids; a city's own licence has none there.
    own = spdx.startswith(("LicenseRef-", "DocumentRef-"))
    return LicenceView(spdx, None if own else f"https://spdx.org/licenses/{quote(spdx)}.html")


def _cycle(name: str) -> Any:
    """`UPDATE_CYCLE_HOURLY` → `hourly`; what the catalogue does not know is not promised."""
    known = catalogue_pb2.UpdateCycle.keys()
    return name.removeprefix("UPDATE_CYCLE_").lower() if name in known else "unspecified"


def _word(enum: Any, value: int, prefix: str, unsaid: Any) -> Any:
    """The view's word for an enum value; `unsaid` for none and for one that this page does not know."""
    known = value in enum.values() and value != 0
    return enum.Name(value).removeprefix(prefix).lower() if known else unsaid


def _text(message: Any, field: str) -> LocalText:
    return LocalText(getattr(message, field), getattr(message, f"{field}_en"))


def _moment(time: Any) -> datetime:
    moment: datetime = time.ToDatetime(tzinfo=UTC)
    return moment


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _ids(name: str) -> tuple[str, str]:
    """Department and dataset of `departments/{department}/datasets/{dataset}/…`."""
    parts = name.split("/")
    return parts[1], parts[3]
