"""What the portal's pages show, as plain values. Made by a `PortalSource`, written out by `pages`.

Texts are `LocalText` (Chinese, and English where somebody wrote it). Times are aware. Scores, rates and
shares are in percent, 0–100. `None` always means “not known” and is written as such or left out; it never
becomes a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from plaza_design.i18n import NO_TEXT, LocalText

Light = Literal["green", "yellow", "red", "none"]
Grade = Literal["public", "internal", "sensitive", "core"]
SharingClass = Literal["unconditional", "conditional", "not_shared"]
Dimension = Literal["accuracy", "completeness", "consistency", "timeliness", "uniqueness", "validity"]
FieldType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
UpdateCycle = Literal[
    "real_time", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "irregular", "unspecified"
]
FacetName = Literal["department", "category", "keyword", "format", "cycle", "licence"]
ReleaseState = Literal["published", "superseded", "withdrawn"]


_FORMATS = {"PARQUET": "Parquet"}


def format_name(form: str) -> str:
    """`PARQUET` → `Parquet`: the name that its makers gave it."""
    return _FORMATS.get(form, form)


@dataclass(frozen=True, slots=True)
class Site:
    """What a city says about itself on every page."""

    city: LocalText
    """Name beside the brand; may be empty."""
    owner: LocalText = NO_TEXT
    """The department that runs the portal, in the footer; may be empty."""
    base_url: str | None = None
    """Public address without a final slash, for citations and commands; `None`: that of the request."""
    api_description: str = "/api/v1/openapi.json"
    """Where the API is described."""


@dataclass(frozen=True, slots=True)
class DepartmentStones:
    """A department's row in the square."""

    department: str
    """Slug."""
    title: LocalText
    datasets: int
    released_today: int | None = None
    late: int | None = None
    """Datasets behind their promise."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """An open dataset in a list, as it is at its newest release."""

    department: str
    dataset: str
    title: LocalText
    department_title: LocalText
    released_at: datetime
    rows: int
    score: float | None
    light: Light
    description: LocalText = NO_TEXT
    formats: tuple[str, ...] = ()
    """For example `CSV`."""
    update_cycle: UpdateCycle = "unspecified"


@dataclass(frozen=True, slots=True)
class HomeView:
    """The front page."""

    datasets: int
    departments: tuple[DepartmentStones, ...]
    """Departments with at least one open dataset."""
    latest: tuple[DatasetSummary, ...]
    """Newest releases first."""
    sample: FileView | None = None
    """A file that really can be downloaded, for the commands."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What somebody looks for."""

    words: str = ""
    chosen: tuple[tuple[FacetName, str], ...] = ()
    """Values to narrow down by; those of one facet are alternatives."""
    page: int = 1
    """From 1."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value with the number of datasets that have it, the other facets' choices held."""

    value: str
    """As addresses write it: a department's slug, `hourly`, `CSV`."""
    count: int
    title: LocalText = NO_TEXT
    """Of a department; may be empty."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What results can be narrowed down by."""

    name: FacetName
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class SearchView:
    """A page of results."""

    results: tuple[DatasetSummary, ...]
    total: int
    """Of all pages."""
    page_size: int
    facets: tuple[Facet, ...] = ()
    """Without values: nothing to choose from, and left out."""


@dataclass(frozen=True, slots=True)
class RowsQuery:
    """Which rows of a release somebody wants to see. Together with the release it is citable."""

    filter: str = ""
    """In the form of AIP-160, as the rows API reads it."""
    columns: tuple[str, ...] = ()
    """None: all."""
    order_by: str = ""
    """`field` or `field desc`."""
    page: int = 1
    """From 1."""

    @property
    def asks(self) -> bool:
        """Something else than the first rows."""
        return bool(self.filter or self.columns or self.order_by or self.page > 1)


@dataclass(frozen=True, slots=True)
class RowsView:
    """What a query found."""

    fields: tuple[FieldView, ...]
    """Of its columns, in their order."""
    rows: tuple[tuple[str | None, ...], ...]
    total: int
    page_size: int
    pages: int
    """That can be leafed to."""
    problem: str = ""
    """Why the query cannot be read, in the words of the service; then there are no rows."""


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of a release."""

    name: str
    format: str
    """For example `CSV`, `Parquet`."""
    size_bytes: int
    sha256: str
    url: str
    """Path on this site."""
    sm3: str = ""
    """Empty: not taken when the file was made."""
    proof_url: str | None = None
    """Path of `NAME.proof.json`."""


@dataclass(frozen=True, slots=True)
class LedgerView:
    """Where a release stands in the ledger (RFC 9162 tree)."""

    index: int
    tree_size: int | None = None
    path_length: int | None = None
    leaf_hash: str | None = None
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class DimensionView:
    """A dimension's score."""

    dimension: Dimension
    score: float | None


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule and how many rows keep it."""

    title: LocalText
    dimension: Dimension
    passed: int
    failed: int
    not_applicable: int
    pass_rate: float | None
    """`None` when the rule applied to no row."""
    threshold: float
    met: bool
    field: str | None = None
    """Name of the field that the rule is about."""


@dataclass(frozen=True, slots=True)
class QualityView:
    """The assessment of the shown release."""

    score: float | None
    light: Light
    dimensions: tuple[DimensionView, ...] = ()
    rules: tuple[RuleView, ...] = ()
    green_from: float = 95.0
    """Threshold of green (profile data)."""
    yellow_from: float = 85.0
    """Below it is red; a dimension below it makes the whole red."""

    def light_of(self, score: float | None) -> Light:
        """The light of one dimension's score."""
        if score is None:
            return "none"
        if score >= self.green_from:
            return "green"
        return "yellow" if score >= self.yellow_from else "red"


@dataclass(frozen=True, slots=True)
class FieldView:
    """A column of the table."""

    name: str
    type: FieldType
    title: LocalText = NO_TEXT
    unit: str = ""
    description: LocalText = NO_TEXT
    required: bool = False
    null_percent: float | None = None
    """Share of rows without a value."""
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """A release in the list of all."""

    number: int
    version: int
    state: ReleaseState
    released_at: datetime
    rows: int | None = None
    note: LocalText = NO_TEXT
    """What changed, or why it was withdrawn."""


@dataclass(frozen=True, slots=True)
class LicenceView:
    """The licence."""

    title: str
    """As people know it, for example `CC BY 4.0`."""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetView:
    """An open dataset at one release."""

    department: str
    dataset: str
    title: LocalText
    description: LocalText
    department_title: LocalText
    release: ReleaseSummary
    """The one shown."""
    newest_release: int
    rows: int
    files: tuple[FileView, ...]
    """The first is the main one."""
    fields: tuple[FieldView, ...]
    """Empty: not told of this release, and left out."""
    preview: tuple[tuple[str | None, ...], ...]
    """First rows in field order; `None` is a missing value."""
    quality: QualityView
    licence: LicenceView | None
    grade: Grade | None
    """`None`: not told, and left out."""
    sharing_class: SharingClass | None
    update_cycle: UpdateCycle
    ledger: LedgerView | None
    releases: tuple[ReleaseSummary, ...]
    """All that were ever published, newest first."""
    content_sha256: str | None = None
    """Over the canonical rows."""
    code: str = ""
    """Directory code."""
    category: str = ""
    keywords: tuple[str, ...] = ()
    due_at: datetime | None = None
    """When the next release was or is promised; `None`: nothing can be said about keeping the promise."""
    rows_url: str | None = None
    """Path of the public rows API for this release, when there is one."""
    package_url: str | None = None
    """Path of the Data Package that describes the files for programs."""
    found: RowsView | None = None
    """What was asked of the rows; `None`: nothing special, see `preview`."""


@dataclass(frozen=True, slots=True)
class TombstoneView:
    """What stays of a withdrawn release, or of a dataset whose releases were all withdrawn."""

    department: str
    dataset: str
    title: LocalText
    department_title: LocalText
    release: int | None
    """`None`: the whole dataset."""
    reason: LocalText
    withdrawn_at: datetime | None = None
    newest_release: int | None = None
    """One that is still open."""
    ledger_index: int | None = None
