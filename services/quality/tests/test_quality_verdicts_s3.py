"""Verdicts on a real S3: kept by one machine, built upon and read by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from plaza.common.v1 import contract_pb2
from plaza_kit.objects.settings import S3Place
from plaza_lake import verdict_files
from plaza_lake.filter_text import parse_filter
from plaza_lake.read import RowQuery, read_rows
from plaza_lake.tables import Lake, LakeSettings
from plaza_lake.verdicts import JudgedSchema
from plaza_lake.write import commit_batch
from plaza_quality.domain.around import Around
from plaza_quality.domain.checks import Check, NotNull, Unique
from plaza_quality.storage import verdict_documents
from plaza_quality.storage.rows import judged
from plaza_testing.grants import Granter
from plaza_testing.s3 import Gateway

pytestmark = pytest.mark.integration

CHECKS: list[Check] = [NotNull("x"), Unique(("n",))]
RULES = [(contract_pb2.QualityRule(id=f"r{number}"), check) for number, check in enumerate(CHECKS)]
NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def machines(s3: Gateway, quality_catalog_url: str, tmp_path: Path) -> Iterator[Callable[[], Lake]]:
    opened: list[Lake] = []
    owner = s3.user()
    warehouse = f"s3://{s3.bucket(owner)}/lake"

    def make() -> Lake:
        place = S3Place(owner, tmp_path / f"cache-{len(opened)}", 64 << 20)
        opened.append(Lake(LakeSettings(quality_catalog_url, warehouse, memory_limit="256MB", s3=place)))
        return opened[-1]

    yield make
    for lake in opened:
        lake.close()


def test_one_machine_keeps_and_another_builds_upon_it(
    machines: Callable[[], Lake], dataset_name: str, stage: Any
) -> None:
    granter = Granter(dataset_name, audience="quality")
    around = Around(NOW, ZoneInfo("Asia/Shanghai"))
    for number, lake in enumerate((machines(), machines())):
        rows = [{"id": 2 * number + n, "x": None if n else 1.0, "n": n, "s": "a"} for n in range(2)]
        commit_batch(lake, dataset_name, stage.schema, f"b{number}", [stage(rows)])
        before = verdict_documents.known(lake, dataset_name, number + 1)
        assert (before is not None) == bool(number)
        outcome = judged(lake, granter.verifier, granter(), CHECKS, around, before, keep=True)
        document = verdict_documents.document(outcome, RULES, number=1, rule_set=1, moment=NOW)
        verdict_files.keep(lake, dataset_name, document)
    assert [finding.counts.failed for finding in outcome.counted.findings] == [2, 2]
    reader = machines()
    schema = JudgedSchema.of(stage.schema, dataset_name, 2, verdict_files.find(reader, dataset_name, 2))
    for text, ids in (("verdict = fail", [1, 2, 3]), ("verdict.r1 = fail", [2, 3]), ("verdict = pass", [0])):
        query = RowQuery(columns=("id",), filter=parse_filter(text, schema))
        with read_rows(reader, granter.verifier, granter(), query) as stream:
            found = sorted(row["id"] for batch in stream.batches for row in batch.to_pylist())
        assert found == ids, text
    assert verdict_documents.sweep(reader, dataset_name, NOW + timedelta(days=9999)) == 0
