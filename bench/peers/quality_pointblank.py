"""Pointblank over Polars: one step for each rule; failing rows are kept as extracts of at most 500."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pointblank as pb
import polars as pl

from bench.quality_job import Job, Outcome, main
from bench.quality_table import RESIDENT, RULES, Asked

_WRITTEN = {
    "checked = true": pl.col("checked"),
    "so2 < 480": pl.col("so2") < 480,
    "pm25 + pm10 < 590": pl.col("pm25") + pl.col("pm10") < 590,
}


def judge(job: Job) -> Outcome:
    """A value that is not there passes; lengths and the check digit are asked as patterns."""
    plan = pb.Validate(data=pl.read_parquet(list(job.files)))
    for rule in RULES:
        plan = _with(plan, rule)
    done = plan.interrogate()
    failed = done.n_failed()
    return Outcome({rule.id: int(failed[step]) for step, rule in enumerate(RULES, 1)})


def _with(plan: Any, rule: Asked) -> Any:
    name, more = rule.fields[0], rule.more
    match rule.kind:
        case "not_null":
            return plan.col_vals_not_null(columns=name)
        case "range":
            return plan.col_vals_between(columns=name, left=more["min"], right=more["max"], na_pass=True)
        case "length":
            return plan.col_vals_regex(
                columns=name, pattern=f"^.{{{more['min']},{more['max']}}}$", na_pass=True
            )
        case "pattern":
            return plan.col_vals_regex(columns=name, pattern=f"^(?:{more['text']})$", na_pass=True)
        case "resident_id":
            return plan.col_vals_regex(columns=name, pattern=f"^(?:{RESIDENT})$", na_pass=True)
        case "mobile_phone":
            return plan.col_vals_regex(columns=name, pattern="^1[3-9][0-9]{9}$", na_pass=True)
        case "postcode":
            return plan.col_vals_regex(columns=name, pattern="^[0-9]{6}$", na_pass=True)
        case "in_list":
            return plan.col_vals_in_set(columns=name, set=list(more["values"]))
        case "compared":
            ask = plan.col_vals_le if more["operator"] == "<=" else plan.col_vals_lt
            return ask(columns=name, value=pb.col(rule.fields[1]), na_pass=True)
        case "not_future":
            return plan.col_vals_le(columns=name, value=datetime.now(UTC), na_pass=True)
        case "conditional":
            when, then = _WRITTEN[more["when"]], _WRITTEN[more["then"]]
            return plan.col_vals_expr(expr=when.not_() | then)
        case "expression":
            return plan.col_vals_expr(expr=_WRITTEN[more["text"]].fill_null(True))
        case "unique":
            return plan.rows_distinct(columns_subset=list(rule.fields))
        case other:
            raise ValueError(other)


if __name__ == "__main__":
    main("pointblank", judge)
