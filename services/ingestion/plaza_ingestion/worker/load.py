"""One load: from a source file and a plan to staged rows, their places, and the refused rows.

Everything streams: memory holds a few batches of records, one row group of each output, and 16 bytes for
each duplicate. The same file and plan give the same files, byte for byte.
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from plaza_kit.errors import Aborted

from plaza_ingestion.worker.batches import Batch, Reader
from plaza_ingestion.worker.duplicates import Hashes, KeyHashes, find_duplicates
from plaza_ingestion.worker.header import Header
from plaza_ingestion.worker.judge import Judge, Judged
from plaza_ingestion.worker.plan import LoadPlan
from plaza_ingestion.worker.readers import Format, open_reader
from plaza_ingestion.worker.records import Ints
from plaza_ingestion.worker.refusal import Reason, RefusedRow, in_step
from plaza_ingestion.worker.repair_file import as_it_was_saved
from plaza_ingestion.worker.source import SourceFile
from plaza_ingestion.worker.staging import ParquetStage, StagedFiles, Stages, original_of

_AHEAD: Final = 3
"""Windows judged, and as many written, beside the one that is being cut."""
_REFUSED_ROWS_AT_ONCE: Final = 4096


class LoadCancelled(Aborted):
    """Somebody asked the load to stop; nothing was staged."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load is. Reported about every two MiB of source, and at the end."""

    bytes_done: int
    bytes_total: int
    rows: int
    """Rows judged so far."""
    refused: int
    """Those of them that are refused; duplicates are known only at the end."""


@dataclass(frozen=True, slots=True)
class LoadManifest:
    """What a load staged. `rows_read == rows_accepted + rows_refused`, always."""

    rows_read: int
    rows_accepted: int
    rows_refused: int
    refused_by_reason: Mapping[Reason, int]
    files: StagedFiles
    source_sha256: str
    source_bytes: int
    ignored_columns: tuple[str, ...]
    """Headings that the contract does not name; their cells were not looked at."""


def run_load(
    plan: LoadPlan,
    source: Path,
    out_dir: Path,
    *,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> LoadManifest:
    """Judges every row of `source` by the plan and stages the outcome in `out_dir`.

    The three files of the manifest appear in `out_dir` only when all is done; what an earlier attempt left is
    replaced. `progress` and `cancelled` are called from the calling thread. Raises `HeaderMismatch`,
    `LoadCancelled`, `SourceChanged`, `UnreadableFile`, `OversizedFile`.
    """
    work = out_dir / ".load"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        plan = as_it_was_saved(plan, source, work)
        with SourceFile(source) as opened:
            manifest = _Load(plan, opened, work, progress, cancelled).run()
        for file in manifest.files:
            (work / file.name).replace(out_dir / file.name)
        return manifest
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Load:
    """The state of one load: counts so far, and the way from one pass to the next."""

    def __init__(
        self,
        plan: LoadPlan,
        source: SourceFile,
        work: Path,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._source = source
        self._work = work
        self._progress = progress
        self._cancelled = cancelled
        self._refused_by_reason: Counter[Reason] = Counter()
        self._rows = 0
        self._places = True

    def run(self) -> LoadManifest:
        several = None
        with ExitStack() as stack:
            wanted = [spec.source for spec in self._plan.fields if spec.source]
            reader = open_reader(self._source, Format.of(self._plan), wanted, self._work, stack)
            self._places = reader.places
            header = Header(reader.headings)
            judge = Judge(self._plan, header, places=reader.places)
            keys = stack.enter_context(KeyHashes(self._work, self._plan.key)) if self._plan.key else None
            files = self._stage(reader, judge, keys)
            several = keys.of_several() if keys else None
            ignored = (*header.ignored_by(self._plan), *reader.ignored())
        if several is not None:
            files = self._without_duplicates(files, several)
        self._report(self._source.size)
        return LoadManifest(
            rows_read=self._rows,
            rows_accepted=files.accepted.rows,
            rows_refused=files.refused.rows,
            refused_by_reason=dict(sorted(self._refused_by_reason.items())),
            files=files,
            source_sha256=self._source.sha256(),
            source_bytes=self._source.size,
            ignored_columns=ignored,
        )

    def _stage(self, reader: Reader, judge: Judge, keys: KeyHashes | None) -> StagedFiles:
        """The one pass over the file: every batch judged and written, in order."""
        with Stages(self._work, self._plan, places=self._places) as stages:
            # Beside this thread, which cuts the file: together they would take longer than the judges.
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as writer:
                writing: deque[tuple[int, Future[None]]] = deque()
                for end, judged in self._judged(reader.batches(), judge):
                    writing.append((end, writer.submit(self._write, judged, stages, keys)))
                    if len(writing) > _AHEAD:
                        self._written(writing)
                while writing:
                    self._written(writing)
            return stages.finish()

    def _written(self, writing: deque[tuple[int, Future[None]]]) -> None:
        """Waits for the first of them, so that a failure is heard and the progress told from this thread."""
        end, done = writing.popleft()
        done.result()
        self._report(end)

    def _judged(self, batches: Iterator[Batch], judge: Judge) -> Iterator[tuple[int, Judged]]:
        """(place in the file, outcome) of each batch in order; a few are judged ahead by other threads."""
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="judge") as pool:
            waiting: deque[tuple[int, Future[Judged]]] = deque()
            for batch in batches:
                self._stop_if_cancelled()
                waiting.append((batch.end, pool.submit(judge.judge, batch)))
                if len(waiting) > _AHEAD:
                    end, done = waiting.popleft()
                    yield end, done.result()
            for end, done in waiting:
                self._stop_if_cancelled()
                yield end, done.result()

    def _write(self, judged: Judged, stages: Stages, keys: KeyHashes | None) -> None:
        stages.accepted.write(judged.accepted)
        if keys:
            keys.add(judged.accepted)
        stages.positions.write(judged.positions)
        stages.refuse(judged.refused)
        self._refused_by_reason.update(row.reason for row in judged.refused)
        self._rows += judged.accepted.num_rows + len(judged.refused)

    def _without_duplicates(self, files: StagedFiles, several: Hashes) -> StagedFiles:
        accepted, latest = self._work / files.accepted.name, self._plan.keep_latest
        rows, staying = find_duplicates(accepted, self._plan.key, several, latest.field if latest else None)
        return self._take_out(files, rows, staying) if len(rows) else files

    def _take_out(self, files: StagedFiles, rows: Ints, staying: Ints) -> StagedFiles:
        """The second pass, for files with duplicates only: staged again without them, which are refused."""
        before = self._work / "before"
        before.mkdir()
        accepted, positions, refused = ((self._work / file.name).rename(before / file.name) for file in files)
        duplicates = self._duplicate_rows(positions, rows, _lines_of(positions, staying))
        with Stages(self._work, self._plan, places=self._places) as stages:
            _copy_without(accepted, rows, stages.accepted, self._stop_if_cancelled)
            _copy_without(positions, rows, stages.positions, self._stop_if_cancelled)
            in_order = merge(_read_refused(refused), duplicates, key=lambda row: row.line)
            while some := list(islice(in_order, _REFUSED_ROWS_AT_ONCE)):
                self._stop_if_cancelled()
                stages.refuse(some)
            self._refused_by_reason[Reason.DUPLICATE_KEY] += len(rows)
            return stages.finish()

    def _duplicate_rows(self, positions: Path, rows: Ints, lines: Ints) -> Iterator[RefusedRow]:
        """The duplicates as refused rows, in file order; `lines`: of the rows that stay."""
        latest = self._plan.keep_latest
        which = f", which has the latest {latest.field}" if latest else ""
        field = self._plan.key[0] if len(self._plan.key) == 1 else None
        begin = 0
        for batch in pq.ParquetFile(positions).iter_batches():
            low, high = np.searchsorted(rows, (begin, begin + batch.num_rows))
            here = batch.take(pa.array(rows[low:high] - begin))
            begin += batch.num_rows
            for place, line in zip(here.to_pylist(), lines[low:high].tolist(), strict=True):
                original = original_of(place, self._source.read)
                detail = in_step(f"same key as line {line}{which}", latest.name if latest else "")
                yield RefusedRow(place["line"], field, Reason.DUPLICATE_KEY, detail, original)

    def _report(self, end: int) -> None:
        refused = self._refused_by_reason.total()
        self._progress(Progress(end, self._source.size, self._rows, refused))

    def _stop_if_cancelled(self) -> None:
        if self._cancelled():
            raise LoadCancelled("The load was cancelled.", remedy="Start it again when you want its rows.")


def _lines_of(positions: Path, rows: Ints) -> Ints:
    """The line of each of these rows, in any order; without holding those of all others."""
    order = np.argsort(rows, kind="stable")
    in_order, found = rows[order], np.empty(len(rows), dtype=np.int64)
    begin = 0
    for batch in pq.ParquetFile(positions).iter_batches(columns=["line"]):
        low, high = np.searchsorted(in_order, (begin, begin + batch.num_rows))
        found[order[low:high]] = batch.column(0).to_numpy()[in_order[low:high] - begin]
        begin += batch.num_rows
    return found


def _copy_without(source: Path, rows: Ints, target: ParquetStage, check: Callable[[], None]) -> None:
    """Copies a staged file without some of its rows (ordered, counted from 0)."""
    begin = 0
    for batch in pq.ParquetFile(source).iter_batches():
        check()
        low, high = np.searchsorted(rows, (begin, begin + batch.num_rows))
        keep = np.ones(batch.num_rows, dtype=np.bool_)
        keep[rows[low:high] - begin] = False
        target.write(pa.table(batch.filter(pa.array(keep)).columns, schema=target.schema))
        begin += batch.num_rows


def _read_refused(path: Path) -> Iterator[RefusedRow]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_REFUSED_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield RefusedRow(row["line"], row["field"], Reason(row["reason"]), row["detail"], row["original"])
