"""What the portal shows of a release, fixed when it is approved; and the words it is found by."""

from __future__ import annotations

from plaza.catalogue.v1 import catalogue_pb2
from plaza.opendata.v1 import opendata_pb2 as pb
from plaza.quality.v1 import quality_pb2
from plaza_kit.search_words import SearchEntry, entry


def snapshot_of(
    dataset: catalogue_pb2.Dataset,
    department: catalogue_pb2.Department,
    assessment: quality_pb2.Assessment | None,
) -> pb.OpenDataset:
    """Texts, names, contract and assessment as they are now; without releases and preview."""
    shown = pb.OpenDataset(
        name=f"{dataset.name}/openDataset",
        display_name=dataset.display_name,
        display_name_en=dataset.display_name_en,
        description=dataset.description,
        description_en=dataset.description_en,
        department=department.name,
        department_display_name=department.display_name,
        department_display_name_en=department.display_name_en,
        category=dataset.category,
        code=dataset.code,
        update_cycle=catalogue_pb2.UpdateCycle.Name(dataset.update_cycle),
        sharing_class=getattr(dataset.sharing, "class"),
        city_level=dataset.city_level,
        keywords=dataset.keywords,
        contract=dataset.contract,
    )
    if assessment is not None:
        shown.rules.extend(_rule(result) for result in assessment.rules)
        shown.dimensions.extend(
            pb.DimensionSummary(dimension=scored.dimension, score=scored.score)
            for scored in assessment.dimensions
        )
    return shown


def _rule(result: quality_pb2.RuleResult) -> pb.RuleSummary:
    summary = pb.RuleSummary(
        title=result.rule.title or result.rule.id,
        dimension=result.rule.dimension,
        passed=result.passed,
        failed=result.failed,
        not_applicable=result.not_applicable,
        threshold_percent=result.rule.threshold_percent,
        met=result.met,
    )
    if result.HasField("pass_rate"):
        summary.pass_rate = result.pass_rate
    return summary


def search_entry(shown: pb.OpenDataset) -> SearchEntry:
    """Titles, descriptions, category, code, department, keywords, and the names and titles of the fields."""
    texts = [
        shown.description,
        shown.description_en,
        shown.category,
        shown.code,
        shown.department_display_name,
        shown.department_display_name_en,
        *shown.keywords,
    ]
    for field in shown.contract.fields:
        texts += [field.name, field.title, field.description]
    return entry(shown.display_name, shown.display_name_en, texts)
