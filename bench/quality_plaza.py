"""Plaza's own part of the quality bench: an assessment as the service makes it, without its RPCs around it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "services" / "kit" / "testing")]

from google.protobuf.json_format import ParseDict
from plaza.common.v1 import contract_pb2
from plaza_lake import verdict_files
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.versions import versions
from plaza_quality.domain.around import Around
from plaza_quality.domain.rules import rule_of
from plaza_quality.domain.scores import LightProfile, assessed
from plaza_quality.storage.rows import judged
from plaza_quality.storage.verdict_documents import document, known
from plaza_testing.grants import Granter

from bench.quality_job import Job, Outcome, main
from bench.quality_table import RULES, Asked

_COMPARISONS = {"<=": "COMPARISON_LESS_OR_EQUAL", "<": "COMPARISON_LESS"}
_DIMENSIONS = {"not_null": "COMPLETENESS", "unique": "UNIQUENESS", "compared": "CONSISTENCY"}


def judge(job: Job) -> Outcome:
    """The newest version: counts, masks as they are kept for readers, and score. `job.way` is `append`: what the
    version before was said to be is known, and only what is new is judged; else everything."""
    messages = [message(asked) for asked in RULES]
    rules = [rule_of(one) for one in messages]
    checks = [one.check for one in rules]
    granter = Granter(job.dataset)
    lake = Lake(LakeSettings(job.catalog, job.warehouse))
    try:
        version = versions(lake, job.dataset)[-1].version
        now = datetime.now(UTC)
        around = Around(now, ZoneInfo("Asia/Shanghai"))
        before = known(lake, job.dataset, version) if job.way == "append" else None
        outcome = judged(lake, granter.verifier, granter(), checks, around, before, keep=True)
        if job.way == "first":
            told = list(zip(messages, checks, strict=True))
            kept = document(outcome, told, number=1, rule_set=1, moment=now)
            verdict_files.keep(lake, job.dataset, kept)
    finally:
        lake.close()
    made = assessed(rules, outcome.counted, LightProfile())
    assert made.score is not None
    failed = {
        asked.id: found.counts.failed for asked, found in zip(RULES, outcome.counted.findings, strict=True)
    }
    return Outcome(failed, {"score": float(made.score)})


def message(asked: Asked) -> contract_pb2.QualityRule:
    """As the contract says it."""
    name, more = asked.fields[0], asked.more
    check: dict[str, Any]
    match asked.kind:
        case "not_null":
            check = {"notNull": {"field": name}}
        case "range":
            check = {"range": {"field": name, "minimum": more["min"], "maximum": more["max"]}}
        case "length":
            check = {"length": {"field": name, "minimum": more["min"], "maximum": more["max"]}}
        case "pattern":
            check = {"pattern": {"field": name, "pattern": more["text"]}}
        case "resident_id" | "mobile_phone" | "postcode":
            check = {"format": {"field": name, "format": f"TEXT_FORMAT_{asked.kind.upper()}"}}
        case "in_list":
            check = {"inList": {"field": name, "values": list(more["values"])}}
        case "compared":
            check = {
                "compare": {
                    "left": name,
                    "comparison": _COMPARISONS[more["operator"]],
                    "right": asked.fields[1],
                }
            }
        case "not_future":
            check = {"notFuture": {"field": name}}
        case "conditional":
            check = {"conditional": {"when": more["when"], "then": more["then"]}}
        case "expression":
            check = {"expression": {"expression": more["text"]}}
        case "unique":
            check = {"unique": {"fields": list(asked.fields)}}
        case other:
            raise ValueError(other)
    dimension = f"DIMENSION_{_DIMENSIONS.get(asked.kind, 'VALIDITY')}"
    whole = {"id": asked.id, "dimension": dimension, "thresholdPercent": 95} | check
    return ParseDict(whole, contract_pb2.QualityRule())


if __name__ == "__main__":
    main("plaza-quality", judge)
