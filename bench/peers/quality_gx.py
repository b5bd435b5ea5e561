"""Great Expectations over pandas, with its usual result (counts and twenty values)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from bench.quality_job import Job, Outcome, main
from bench.quality_table import RESIDENT, RULES, Asked


def judge(job: Job) -> Outcome:
    """The expression has no expectation of its own and is left out; the check digit is only a pattern."""
    table = pd.concat([pd.read_parquet(path) for path in job.files], ignore_index=True)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    batch = (
        context.data_sources.add_pandas("pandas")
        .add_dataframe_asset("table")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch({"dataframe": table})
    )
    asked = [(rule, expectation) for rule in RULES if (expectation := _expectation(rule)) is not None]
    suite = gx.ExpectationSuite("rules", expectations=[expectation for _, expectation in asked])
    results = batch.validate(suite, result_format="BASIC").results
    broken = [result for result in results if result.exception_info.get("raised_exception")]
    if broken:
        raise RuntimeError(broken[0].exception_info)
    failed: dict[str, int] = {}
    for result in results:
        failed[result.expectation_config.meta["rule"]] = int(result.result["unexpected_count"])
    return Outcome(failed)


def _expectation(rule: Asked) -> Any:
    name, more, meta = rule.fields[0], rule.more, {"rule": rule.id}
    match rule.kind:
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=name, meta=meta)
        case "range":
            return gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=more["min"], max_value=more["max"], meta=meta
            )
        case "length":
            return gxe.ExpectColumnValueLengthsToBeBetween(
                column=name, min_value=more["min"], max_value=more["max"], meta=meta
            )
        case "pattern":
            return gxe.ExpectColumnValuesToMatchRegex(column=name, regex=f"^(?:{more['text']})$", meta=meta)
        case "resident_id":
            return gxe.ExpectColumnValuesToMatchRegex(column=name, regex=f"^(?:{RESIDENT})$", meta=meta)
        case "mobile_phone":
            return gxe.ExpectColumnValuesToMatchRegex(column=name, regex="^1[3-9][0-9]{9}$", meta=meta)
        case "postcode":
            return gxe.ExpectColumnValuesToMatchRegex(column=name, regex="^[0-9]{6}$", meta=meta)
        case "in_list":
            return gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(more["values"]), meta=meta)
        case "compared":
            return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=rule.fields[1],
                column_B=name,
                or_equal=more["operator"] == "<=",
                ignore_row_if="either_value_is_missing",
                meta=meta,
            )
        case "not_future":
            return gxe.ExpectColumnValuesToBeBetween(column=name, max_value=datetime.now(UTC), meta=meta)
        case "conditional":
            return gxe.ExpectColumnValuesToBeBetween(
                column=rule.fields[1],
                max_value=480,
                strict_max=True,
                row_condition="checked == True",
                condition_parser="pandas",
                meta=meta,
            )
        case "expression":
            return None
        case "unique":
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.fields), meta=meta)
        case other:
            raise ValueError(other)


if __name__ == "__main__":
    main("great-expectations", judge)
