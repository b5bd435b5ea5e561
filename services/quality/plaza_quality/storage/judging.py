"""All judges over all files of a version: what was said of a file before and still holds is not asked again.

Files never change. What a judge of single rows said of one holds as long as the judge is the same (`Judge.hash`); of a
judge that knows the moment, until the first failing value is no longer in the future. Which rows repeat a key depends
on the files before: after an append the new keys are looked for among the kept hashes of the old ones, else all hashes
are compared anew. What looks further (order) is asked of the engine each time. So the answer is that of a full run.
What is not known may be asked of Spark instead, which says the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from plaza_kit.grants import GrantVerifier
from plaza_lake import row_bits, scalar_texts, verdict_files
from plaza_lake.access import Access
from plaza_lake.judge import aggregates_by_file, planned
from plaza_lake.judged import merged
from plaza_lake.judged_rows import not_passing
from plaza_lake.judgements import ROW_BITS, WORD, Agrees, Ascending, First, Judgement, Mergeable
from plaza_lake.row_bits import Bits
from plaza_lake.scan import scan_of
from plaza_lake.tables import Lake
from plaza_lake.verdict_files import FileJudge, FileVerdicts, Side, Together, Verdicts, column_of
from plaza_lake.verdict_join import name_of

from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check
from plaza_quality.kernels.hashing import Keys, Seeds
from plaza_quality.kernels.kinds import counted
from plaza_quality.kernels.parts import Said, Task
from plaza_quality.kernels.repeated import KeyedRows, Positions, repeats_after, repetitions
from plaza_quality.kernels.scan import judge_files
from plaza_quality.spark.judge import Group, judge_on_spark
from plaza_quality.spark.sent import Asked
from plaza_quality.spark.server import Spark

_KINDS_TOLD: Final = 2_000
"""Of rows that fail together, in the entry of one file; more are read from the bits."""
_COMBINATIONS: Final = 50


@dataclass(frozen=True, slots=True)
class Judge:
    """A check of rows with everything that it is held against."""

    hash: str
    """Of all of that, but for the moment."""
    check: Check
    judgement: Judgement
    task: Task | None
    """None: only the engine can, or Spark."""
    bound: int | None = None
    """The greatest value that passes, of one that knows the moment."""

    @property
    def looks_around(self) -> bool:
        """At rows of other files too."""
        return isinstance(self.judgement, First | Ascending | Agrees)

    @property
    def stays_here(self) -> bool:
        """With our own engine, wherever all else is judged."""
        return isinstance(self.judgement, Agrees)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a version."""

    access: Access
    rows: int
    clean: int
    failed: tuple[int, ...]
    """By judge."""
    silent: tuple[int, ...]
    together: Together
    """The most frequent."""
    values: dict[str, object]
    files: tuple[FileVerdicts, ...]
    seeds: tuple[int, int]


@dataclass
class _File:
    """A data file of the version."""

    number: int
    name: str
    before: FileVerdicts | None
    """What is known of it."""
    said: dict[int, Said] = field(default_factory=dict)
    """By judge: what is new."""
    known: dict[int, FileJudge] = field(default_factory=dict)
    """By judge: what still holds."""
    rows: int = 0


def judge_version(
    lake: Lake,
    verifier: GrantVerifier,
    grant: str,
    access: Access,
    judges: Sequence[Judge],
    aggregates: Mapping[str, Mergeable],
    before: Verdicts | None,
    around: Around,
    *,
    keep: bool,
    spark: Spark | None = None,
) -> Found:
    """What all judges say of the version that the grant opens (`access`: all its rows). `before`: verdicts of this
    version or of one before it; None: nothing is known. `keep`: the bits are kept, so that `Found.files` can be read.
    `spark`: what is not known is asked there.

    Blocking. Raises duckdb.Error or pyarrow.ArrowInvalid for what cannot be evaluated, `SparkUnavailable`,
    `SparkFailed`.
    """
    run = _Run(lake, verifier, grant, access, tuple(judges), before, keep)
    if spark is None:
        run.judge_rows()
        run.judge_keys()
        run.ask_engine(number for number, judge in enumerate(judges) if judge.task is None)
        values = run.aggregate(aggregates)
    else:
        values = run.ask_spark(spark, around, aggregates)
        run.judge_keys()
        run.ask_engine(number for number, judge in enumerate(judges) if judge.stays_here)
    return run.found(values, aggregates)


class _Run:
    def __init__(
        self,
        lake: Lake,
        verifier: GrantVerifier,
        grant: str,
        access: Access,
        judges: tuple[Judge, ...],
        before: Verdicts | None,
        keep: bool,
    ) -> None:
        self._lake, self._verifier, self._grant, self._judges = lake, verifier, grant, judges
        self._before, self._keep = before, keep
        self._access = access
        self._dataset = self._access.grant.dataset
        self._places = {hash_: place for place, hash_ in enumerate(before.judges)} if before else {}
        self._seeds = Seeds(*map(np.uint64, before.seeds)) if before else Seeds.drawn()
        known = {file.name: file for file in before.files} if before else {}
        names = [name_of(lake, self._dataset, path) for path in self._access.paths]
        self._files = [_File(number, name, known.get(name)) for number, name in enumerate(names)]
        for file in self._files:
            if file.before is not None:
                file.rows = file.before.rows
                self._take_over(file, file.before)

    @cached_property
    def _only_appended(self) -> bool:
        """Whether the files of before are the first ones now, in their order."""
        before = [] if self._before is None else [file.name for file in self._before.files]
        return [file.name for file in self._files[: len(before)]] == before

    def _take_over(self, file: _File, before: FileVerdicts) -> None:
        for number, judge in enumerate(self._judges):
            place = self._places.get(judge.hash)
            if place is None or isinstance(judge.judgement, Ascending | Agrees):
                continue
            said = before.judges[place]
            if isinstance(judge.judgement, First):
                if judge.task is None or not said.keys:
                    continue
            elif judge.bound is not None and not self._still_holds(judge.bound, place, said):
                continue
            file.known[number] = said

    def _still_holds(self, bound: int, place: int, said: FileJudge) -> bool:
        assert self._before is not None, "something was said"
        then = self._before.bounds[place]
        if then is None or bound < then:
            return False
        return not said.failed or (said.changes_at is not None and said.changes_at > bound)

    def judge_rows(self) -> None:
        """By kernels, hashes of keys among them; one scan for all files of which the same is unknown."""
        able = [number for number, judge in enumerate(self._judges) if judge.task is not None]
        unknown: dict[tuple[int, ...], list[_File]] = {}
        for file in self._files:
            missing = tuple(number for number in able if number not in file.known)
            if missing or file.before is None:
                unknown.setdefault(missing, []).append(file)
        for missing, files in unknown.items():
            scan = scan_of(self._lake, self._access, [file.number for file in files])
            for file in files:
                file.rows = scan.metadata[file.number].num_rows
            if not missing:
                continue
            tasks = [task for number in missing if (task := self._judges[number].task) is not None]
            said = judge_files(self._lake, scan, tasks, self._seeds)
            for file in files:
                file.said.update(zip(missing, said[file.number].said, strict=True))

    def judge_keys(self) -> None:
        """Which rows repeat a key."""
        for number, judge in enumerate(self._judges):
            if isinstance(judge.judgement, First) and judge.task is not None:
                new = [file for file in self._files if number in file.said]
                old = [file for file in self._files if number not in file.said]
                if old and self._only_appended and all(file.number >= len(old) for file in new):
                    again = repeats_after(
                        (self._keys(file, number) for file in old), self._parts(new, number)
                    )
                    self._failing(new, number, again)
                else:
                    again = repetitions(self._parts(self._files, number))
                    self._failing(self._files, number, again)

    def _parts(self, files: Iterable[_File], number: int) -> list[KeyedRows]:
        return [KeyedRows(file.number << ROW_BITS, self._keys(file, number)) for file in files]

    def _keys(self, file: _File, number: int) -> Keys:
        if number in file.said:
            keys = file.said[number].keys
            assert keys is not None, "hashes are what the task was asked for"
            return keys
        return read_keys(self._lake, self._dataset, file.known[number].keys, file.rows)

    def _failing(self, files: Iterable[_File], number: int, found: Positions) -> None:
        for file in files:
            low, high = np.searchsorted(found, (file.number << ROW_BITS, (file.number + 1) << ROW_BITS))
            rows = found[low:high] & ((1 << ROW_BITS) - 1)
            bits = row_bits.of_rows(rows, file.rows) if len(rows) else None
            if number in file.said:
                file.said[number] = replace(file.said[number], failed=len(rows), failed_bits=bits)
            elif len(rows) or file.known[number].failed:
                known = file.known[number]
                silent = self._kept(known, number, Side.SILENT)
                file.said[number] = Said(len(rows), known.silent, bits, silent)

    def ask_engine(self, asked: Iterable[int]) -> None:
        """What no kernel can."""
        unknown: dict[tuple[int, ...], list[int]] = {}
        for number in asked:
            around = self._judges[number].looks_around
            files = tuple(file.number for file in self._files if around or number not in file.known)
            if files:
                unknown.setdefault(files, []).append(number)
        for files, numbers in unknown.items():
            judgements = [self._judges[number].judgement for number in numbers]
            table = not_passing(self._lake, self._verifier, self._grant, judgements, files)
            position = table.column("_position").to_numpy()
            of_file, row = position >> ROW_BITS, position & ((1 << ROW_BITS) - 1)
            for place, number in enumerate(numbers):
                word, bit = divmod(place, WORD)
                failed = table.column(f"_failed{word}").to_numpy() >> bit & 1 == 1
                silent = table.column(f"_judged{word}").to_numpy() >> bit & 1 == 0
                for file in files:
                    mine = of_file == file
                    self._files[file].said[number] = _said(
                        row[mine & failed], row[mine & silent], self._files[file].rows
                    )

    def ask_spark(
        self, spark: Spark, around: Around, aggregates: Mapping[str, Mergeable]
    ) -> dict[int, dict[str, object]]:
        """All that is not known, hashes of keys among it; the answer as that of `aggregate`."""
        nodes = {repr(node): node for node in aggregates.values()}
        values = {file.number: _known_values(file, nodes) for file in self._files}
        sent = [number for number, judge in enumerate(self._judges) if not judge.stays_here]
        unknown: dict[tuple[tuple[int, ...], tuple[str, ...]], list[int]] = {}
        for file in self._files:
            tasks = tuple(task for task, number in enumerate(sent) if number not in file.known)
            keys = tuple(key for key in nodes if key not in values[file.number])
            if tasks or keys or file.before is None:
                unknown.setdefault((tasks, keys), []).append(file.number)
        if not unknown:
            return values
        judges = [self._judges[number] for number in sent]
        plan = planned(self._lake, self._verifier, self._grant, [each.judgement for each in judges])
        for node in aggregates.values():
            self._access.check(node)
        answer = judge_on_spark(
            spark,
            self._access,
            plan.others,
            [Asked(each.check, each.judgement, hashed=each.task is not None) for each in judges],
            [
                Group(tuple(files), tasks, tuple(nodes[key] for key in keys))
                for (tasks, keys), files in unknown.items()
            ],
            self._seeds,
            around,
            self._lake.files.address,
        )
        for (tasks, keys), files in unknown.items():
            for file in (self._files[number] for number in files):
                found = answer.files[file.number]
                file.rows = found.rows
                file.said.update(zip((sent[task] for task in tasks), found.said, strict=True))
                told = zip(keys, answer.values.get(file.number, ()), strict=False)
                values[file.number] |= {key: scalar_texts.written(value) for key, value in told}
        for task, positions in answer.failing.items():
            number = sent[task]
            self._failing((file for file in self._files if number in file.said), number, positions)
        return values

    def aggregate(self, aggregates: Mapping[str, Mergeable]) -> dict[int, dict[str, object]]:
        """By file and by what is asked, as it is kept."""
        nodes = {repr(node): node for node in aggregates.values()}
        found = {file.number: _known_values(file, nodes) for file in self._files}
        unknown: dict[tuple[str, ...], list[int]] = {}
        for file in self._files:
            missing = tuple(key for key in nodes if key not in found[file.number])
            if missing:
                unknown.setdefault(missing, []).append(file.number)
        for missing, numbers in unknown.items():
            asked = aggregates_by_file(self._lake, self._access, [nodes[key] for key in missing], numbers)
            for number, values in asked.items():
                found[number] |= {
                    key: scalar_texts.written(v) for key, v in zip(missing, values, strict=True)
                }
        return found

    def found(self, values: Mapping[int, dict[str, object]], aggregates: Mapping[str, Mergeable]) -> Found:
        """All of it."""
        with ThreadPoolExecutor(self._lake.settings.threads, thread_name_prefix="verdicts") as pool:
            files = tuple(pool.map(lambda file: self._entry(file, values[file.number]), self._files))
        judges = range(len(self._judges))
        return Found(
            access=self._access,
            rows=sum(file.rows for file in files),
            clean=sum(file.clean for file in files),
            failed=tuple(sum(file.judges[number].failed for file in files) for number in judges),
            silent=tuple(sum(file.judges[number].silent for file in files) for number in judges),
            together=self._combined(files),
            values={
                name: merged(node, _present(scalar_texts.read(file.values.get(repr(node))) for file in files))
                for name, node in aggregates.items()
            },
            files=files,
            seeds=(int(self._seeds.one), int(self._seeds.two)),
        )

    def _entry(self, file: _File, values: dict[str, object]) -> FileVerdicts:
        before = file.before
        same = self._before is not None and self._before.judges == tuple(judge.hash for judge in self._judges)
        if before is not None and same and not file.said:
            return replace(before, values=values)
        judges, failed = self._judged(file)
        clean, kinds = counted(failed, file.rows)
        told = kinds if len(kinds) <= _KINDS_TOLD or not self._keep else None
        return FileVerdicts(file.name, file.rows, judges, clean, told, values)

    def _judged(self, file: _File) -> tuple[tuple[FileJudge, ...], dict[int, Bits | None]]:
        """With the bits of those that fail, which are kept."""
        name = f"{uuid.uuid4().hex}.arrow"
        columns: dict[str, Bits] = {}
        judges: list[FileJudge] = []
        failed: dict[int, Bits | None] = {}
        for number, judge in enumerate(self._judges):
            said = file.said.get(number)
            if said is None:
                judges.append(file.known[number])
                failed[number] = self._kept(judges[-1], number, Side.FAILED)
                continue
            failed[number] = said.failed_bits
            sides = {Side.FAILED: said.failed_bits, Side.SILENT: said.silent_bits}
            new = {column_of(side, judge.hash): bits for side, bits in sides.items() if bits is not None}
            columns |= new
            keys = file.known[number].keys if number in file.known else self._keep_keys(said)
            judges.append(FileJudge(said.failed, said.silent, name if new else "", keys, said.changes_at))
        if columns and self._keep:
            uri = verdict_files.object_address(self._lake, self._dataset, name)
            verdict_files.write_bits(self._lake.files, uri, file.rows, columns)
        return tuple(judges), failed

    def _kept(self, known: FileJudge, number: int, side: Side) -> Bits | None:
        if not known.bits or not (known.failed if side is Side.FAILED else known.silent):
            return None
        uri = verdict_files.object_address(self._lake, self._dataset, known.bits)
        column = column_of(side, self._judges[number].hash)
        return verdict_files.read_bits(self._lake.files, uri, [column])[column]

    def _keep_keys(self, said: Said) -> str:
        if said.keys is None or not self._keep:
            return ""
        name = f"{uuid.uuid4().hex}.keys"
        write_keys(self._lake, self._dataset, name, said.keys)
        return name

    def _combined(self, files: Iterable[FileVerdicts]) -> Together:
        total: dict[tuple[int, ...], int] = {}
        for file in files:
            for kind, rows in file.together if file.together is not None else self._kinds(file):
                total[kind] = total.get(kind, 0) + rows
        order = sorted(total.items(), key=lambda each: (-each[1], _words(each[0], len(self._judges))))
        return tuple(order[:_COMBINATIONS])

    def _kinds(self, file: FileVerdicts) -> Together:
        failed = {n: self._kept(judge, n, Side.FAILED) for n, judge in enumerate(file.judges)}
        return counted(failed, file.rows)[1]


def _known_values(file: _File, wanted: Iterable[str]) -> dict[str, object]:
    known = {} if file.before is None else file.before.values
    return {key: known[key] for key in wanted if key in known}


def _said(failed: NDArray[np.int64], silent: NDArray[np.int64], rows: int) -> Said:
    return Said(
        len(failed),
        len(silent),
        row_bits.of_rows(failed, rows) if len(failed) else None,
        row_bits.of_rows(silent, rows) if len(silent) else None,
    )


def _words(kind: Sequence[int], judges: int) -> list[int]:
    """As `plaza_lake.judge` packs it: equally frequent kinds stand in this order."""
    words = [0] * max(1, -(-judges // WORD))
    for judge in kind:
        words[judge // WORD] |= 1 << judge % WORD
    return words


def _present(values: Iterable[object]) -> list[object]:
    return [value for value in values if value is not None]


def write_keys(lake: Lake, dataset: str, name: str, keys: Keys) -> None:
    """Both halves of all hashes, the first halves first, little-endian."""
    uri = verdict_files.object_address(lake, dataset, name)
    part = lake.files.part(uri)
    try:
        with part.open("xb") as writer:
            for half in (keys.one, keys.two):
                writer.write(half.astype("<u8", copy=False).data)
        lake.files.keep(part, uri)
    finally:
        part.unlink(missing_ok=True)


def read_keys(lake: Lake, dataset: str, name: str, rows: int) -> Keys:
    """The inverse; only what is looked at is read. Raises FileNotFoundError."""
    path = lake.files.path(verdict_files.object_address(lake, dataset, name))
    with lake.files.opened([path]):
        if not Path(path).stat().st_size:
            return Keys(np.empty(0, np.uint64), np.empty(0, np.uint64))
        found = np.memmap(path, "<u8", "r", shape=(2, rows))  # outlives the name: the file stays open
    return Keys(found[0], found[1])
