"""What the rules said of every row of a version, as quality keeps it beside the lake: one small document a version,
and for each data file Arrow files of bits.

    <warehouse>/_quality/verdicts/<department>/<dataset>/versions/<version>.json   `Verdicts`
    <warehouse>/_quality/verdicts/<department>/<dataset>/objects/<name>.arrow      bits of the rows of one data file
    <warehouse>/_quality/verdicts/<department>/<dataset>/objects/<name>.keys       hashes of keys, for quality alone

A *judge* is a check with everything that it is held against, named by a hash; a rule of the contract has one, or none
where it judges no row. In an object each judge has at most two columns of booleans, `failed:<judge>` and
`silent:<judge>`, one bit for each row of the data file; a column that is not there has no bit set. So rules may be as
many as a contract has, and who asks for one rule reads its bits only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
import pyarrow as pa

from plaza_lake.files import Files
from plaza_lake.row_bits import Bits, as_arrow, from_arrow
from plaza_lake.tables import Lake

OBJECTS: Final = "objects"
Together = tuple[tuple[tuple[int, ...], int], ...]


class Side(StrEnum):
    """Of a judge's two columns."""

    FAILED = "failed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A rule of the rule set."""

    id: str
    title: str
    fields: tuple[str, ...]
    """Those that it looks at: who may not read them may not see its verdicts."""
    judge: int | None
    """Number of its judge; None: it judges no row."""
    of_table: bool = False
    """It judges the table, not rows."""
    reason: str = ""
    """Why it judges no row, though it is about rows."""


@dataclass(frozen=True, slots=True)
class FileJudge:
    """What one judge said of one data file."""

    failed: int = 0
    silent: int = 0
    """Rows; all others pass."""
    bits: str = ""
    """Object that has them. Empty: no bit is set."""
    keys: str = ""
    """Object with the hashes of the rows' keys, of a judge that looks for repetitions."""
    changes_at: int | None = None
    """Smallest value that fails, of a judge for which only later moments change a verdict."""


@dataclass(frozen=True, slots=True)
class FileVerdicts:
    """What all judges said of one data file."""

    name: str
    """Relative to the table's folder."""
    rows: int
    judges: tuple[FileJudge, ...]
    clean: int
    """Rows that fail nowhere."""
    together: Together | None
    """Judges that rows fail together, with the rows; None: so many kinds that the bits are asked instead."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Aggregates of the file, by what was asked."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the rules said of one version."""

    version: int
    number: int
    """Of the assessment: 1, and one more each time the version is assessed again."""
    rule_set: int
    """Version of the contract whose rules these are."""
    time: datetime
    rules: tuple[JudgedRule, ...]
    judges: tuple[str, ...]
    """Their hashes."""
    bounds: tuple[int | None, ...]
    """By judge: the greatest value that passes, of one that knows the moment."""
    files: tuple[FileVerdicts, ...]
    """In the order of positions."""
    seeds: tuple[int, int]
    """Of the hashes of keys."""


def find(lake: Lake, dataset: str, version: int) -> Verdicts | None:
    """Those of a version; None: it was not assessed so. Raises `StoreUnavailable`."""
    try:
        return read(lake.files.read(address(lake, dataset, version)))
    except FileNotFoundError:
        return None


def keep(lake: Lake, dataset: str, verdicts: Verdicts) -> None:
    """From now on these are those of their version."""
    lake.files.write(address(lake, dataset, verdicts.version), written(verdicts))


def address(lake: Lake, dataset: str, version: int) -> str:
    """Of a version's document."""
    return f"{lake.verdicts_location(dataset)}/versions/{version}.json"


def object_address(lake: Lake, dataset: str, name: str) -> str:
    """Of an object."""
    return f"{lake.verdicts_location(dataset)}/{OBJECTS}/{name}"


def written(verdicts: Verdicts) -> bytes:
    """The document. Numbers of files and judges are places in lists: a document has one line's worth for each file."""
    found: dict[str, Any] = {
        "version": verdicts.version,
        "number": verdicts.number,
        "rule_set": verdicts.rule_set,
        "time": verdicts.time.isoformat(),
        "seeds": verdicts.seeds,
        "rules": [asdict(rule) for rule in verdicts.rules],
        "judges": verdicts.judges,
        "bounds": verdicts.bounds,
        "files": [
            {
                "name": file.name,
                "rows": file.rows,
                "clean": file.clean,
                "together": file.together,
                "values": file.values,
                "judges": [(e.failed, e.silent, e.bits, e.keys, e.changes_at) for e in file.judges],
            }
            for file in verdicts.files
        ],
    }
    return orjson.dumps(found)


def read(document: bytes) -> Verdicts:
    """The inverse of `written`."""
    found = orjson.loads(document)
    return Verdicts(
        version=found["version"],
        number=found["number"],
        rule_set=found["rule_set"],
        time=datetime.fromisoformat(found["time"]),
        rules=tuple(JudgedRule(**each | {"fields": tuple(each["fields"])}) for each in found["rules"]),
        judges=tuple(found["judges"]),
        bounds=tuple(found["bounds"]),
        files=tuple(_file(each) for each in found["files"]),
        seeds=(found["seeds"][0], found["seeds"][1]),
    )


def _file(found: dict[str, Any]) -> FileVerdicts:
    together = found["together"]
    return FileVerdicts(
        name=found["name"],
        rows=found["rows"],
        judges=tuple(FileJudge(*each) for each in found["judges"]),
        clean=found["clean"],
        together=None if together is None else tuple((tuple(judges), rows) for judges, rows in together),
        values=found["values"],
    )


def write_bits(files: Files, uri: str, rows: int, columns: Mapping[str, Bits]) -> None:
    """An object with these columns (`column_of`), durable before this returns."""
    batch = pa.record_batch([as_arrow(bits, rows) for bits in columns.values()], names=list(columns))
    part = files.part(uri)
    try:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(str(part), batch.schema, options=options) as writer:
            writer.write_batch(batch)
        files.keep(part, uri)
    finally:
        part.unlink(missing_ok=True)


def column_of(side: Side, judge: str) -> str:
    """Name of a column of an object."""
    return f"{side}:{judge}"


def read_bits(files: Files, uri: str, columns: Iterable[str]) -> dict[str, Bits]:
    """Those of these columns that the object has. Raises FileNotFoundError."""
    path = files.path(uri)
    with files.opened([path]), pa.memory_map(path) as source:
        names = pa.ipc.open_file(source).schema.names
        wanted = [number for number, name in enumerate(names) if name in set(columns)]
        if not wanted:
            return {}
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        batch = reader.get_batch(0)
        return {name: from_arrow(batch.column(name)).copy() for name in batch.schema.names}
