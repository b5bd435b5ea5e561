"""What goes to Spark's workers, and what comes back from them: bits and numbers, never rows, grants or credentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from plaza_lake.fields import TableSchema
from plaza_lake.judgements import Ascending, First, Judgement, Member, OtherRows
from sqlglot import exp

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.kernels.hashing import Seeds

THEIRS: Final = 0
OURS: Final = 1
"""Ranks in the slot of a reference: the other dataset's keys come first."""
OF_PART: Final = -1
"""The task of what is said of a part as such."""

SAID: Final = pa.schema(
    [
        pa.field("file", pa.int64()),
        pa.field("first", pa.int64()),  # the part's first row
        pa.field("task", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("failed", pa.int64()),
        pa.field("silent", pa.int64()),
        pa.field("failed_bits", pa.binary()),
        pa.field("silent_bits", pa.binary()),
        pa.field("changes_at", pa.int64()),
        pa.field("one", pa.binary()),  # hashes of keys, little-endian
        pa.field("two", pa.binary()),
        pa.field("aggregates", pa.binary()),  # an Arrow stream
    ]
)
"""A row for each part of a file, and one for each task that says more of it than that all rows pass. Fields are as in
`plaza_quality.kernels.parts.Said`."""
PLACED: Final = pa.schema(
    [
        pa.field("slot", pa.int64()),  # the task
        pa.field("one", pa.int64()),  # what belongs together: equal in both halves
        pa.field("two", pa.int64()),
        pa.field("rank", pa.int64()),  # the order among what belongs together, a number or a text
        pa.field("rank_text", pa.string()),
        pa.field("position", pa.int64()),  # as in `plaza_lake.judgements`; absent: a key of another version
        pa.field("value", pa.int64()),  # what must ascend, a number or a text
        pa.field("value_text", pa.string()),
    ]
)
"""A row for each row of which a task can say something only beside other rows."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a file: of its row groups every `of`-th, from number `first`."""

    file: int
    """Its number among the version's files."""
    address: str
    """`s3://bucket/key`, or a path that the workers see as well."""
    first: int
    of: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What of a version may be read: these columns of these files, and of the rows those that a grant leaves."""

    slices: tuple[Slice, ...]
    schema: TableSchema
    """The columns that are needed, those of the grant's own filter among them."""
    row_filter: exp.Expr | None

    def share(self, number: int, shares: int) -> Iterator[Slice]:
        """The slices of one partition."""
        yield from self.slices[number::shares]


@dataclass(frozen=True, slots=True)
class Asked:
    """A check of rows."""

    check: Check
    judgement: Judgement
    hashed: bool
    """Of a key: its hashes come back. Else repetitions are looked for there."""

    @property
    def looks_beyond(self) -> bool:
        """Whether other rows are needed there, so that it has a slot."""
        match self.judgement:
            case First():
                return not self.hashed
            case Member(_, among):
                return isinstance(among, OtherRows)
            case Ascending():
                return True
        return False

    def without_grants(self) -> Asked:
        """The same, for another machine."""
        if isinstance(self.judgement, Member) and isinstance(self.judgement.among, OtherRows):
            among = replace(self.judgement.among, grant="")
            return replace(self, judgement=replace(self.judgement, among=among))
        return self


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files of which the same is asked."""

    rows: Rows
    tasks: tuple[int, ...]
    """Numbers in `Work.tasks`."""
    aggregates: tuple[exp.Expr, ...]
    """Select-list items, of parts."""


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that a worker needs to judge its share of the rows."""

    granted: TableSchema
    tasks: tuple[Asked, ...]
    wanted: tuple[Wanted, ...]
    seeds: Seeds
    moment: datetime
    zone: ZoneInfo
    partitions: int

    @property
    def around(self) -> Around:
        return Around(self.moment, self.zone)


@dataclass(frozen=True, slots=True)
class Reference:
    """Keys of another version, as the slot of a task of `Work` needs them."""

    rows: Rows
    columns: tuple[str, ...]
    slot: int
    seeds: Seeds
    partitions: int
