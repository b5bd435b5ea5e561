"""The verdicts of a version, kept beside the lake: made, found for the next assessment, and cleared away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from plaza.common.v1 import contract_pb2
from plaza_lake import verdict_files
from plaza_lake.sweep import GRACE
from plaza_lake.tables import Lake
from plaza_lake.verdict_files import OBJECTS, JudgedRule, Verdicts
from plaza_lake.versions import versions

from plaza_quality.domain.checks import Check, Scope, kind_of
from plaza_quality.storage.rows import Outcome

_BEFORE: Final = 5
"""So many versions back something is looked for that is known already."""
_SWEPT: Final = "swept"
_EVERY: Final = timedelta(hours=24)


def known(lake: Lake, dataset: str, version: int) -> Verdicts | None:
    """The nearest verdicts that the assessment of a version can build on: its own, if it is assessed again, or of one
    of the versions before. Raises `StoreUnavailable`."""
    for number in range(version, max(version - _BEFORE, 0), -1):
        if (found := verdict_files.find(lake, dataset, number)) is not None:
            return found
    return None


def document(
    outcome: Outcome,
    rules: Sequence[tuple[contract_pb2.QualityRule, Check]],
    *,
    number: int,
    rule_set: int,
    moment: datetime,
) -> Verdicts:
    """What readers of the version's rows find."""
    found = outcome.found
    told = zip(rules, outcome.judge_of, outcome.counted.findings, strict=True)
    return Verdicts(
        version=found.access.version.version,
        number=number,
        rule_set=rule_set,
        time=moment,
        rules=tuple(
            JudgedRule(
                id=rule.id,
                title=rule.title,
                fields=() if judge is None else tuple(sorted(outcome.fields[judge])),
                judge=judge,
                of_table=kind_of(check).scope is Scope.TABLE,
                reason=finding.reason or ("" if not finding.absent_fields else "absent_fields"),
            )
            for (rule, check), judge, finding in told
        ),
        judges=tuple(judge.hash for judge in outcome.judges),
        bounds=tuple(judge.bound for judge in outcome.judges),
        files=found.files,
        seeds=found.seeds,
    )


def sweep(lake: Lake, dataset: str, now: datetime) -> int:
    """Once a day: removes the verdicts of versions that expired, and objects that no verdicts name and nothing wrote to
    for as long as a reader may have them open. Answers how many files went. One at a time for a dataset: an assessment
    under way would name what is removed.

    Raises `TableNotFound`, `LakeUnavailable`, `StoreUnavailable`.
    """
    folder, files = lake.verdicts_location(dataset), lake.files
    marker = f"{folder}/{_SWEPT}"
    last = files.store.find(files.key(marker))
    if last is not None and now - last.changed < _EVERY:
        return 0
    live = {f"{info.version}.json" for info in versions(lake, dataset)}
    needed: set[str] = set()
    removed = 0
    for found in list(files.listed(f"{folder}/versions")):
        if found.uri.rpartition("/")[2] in live or now - found.changed < GRACE:
            needed |= _named(verdict_files.read(files.read(found.uri)))
        else:
            files.remove(found.uri)
            removed += 1
    for found in list(files.listed(f"{folder}/{OBJECTS}")):
        if found.uri.rpartition("/")[2] not in needed and now - found.changed >= GRACE:
            files.remove(found.uri)
            removed += 1
    files.write(marker, b"")
    return removed


def _named(verdicts: Verdicts) -> set[str]:
    return {
        name for file in verdicts.files for judge in file.judges for name in (judge.bits, judge.keys) if name
    }
