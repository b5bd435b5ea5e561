"""Raw Polars: counts alone, in one streaming query; no masks, no evidence, no verdict for a row."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from bench.quality_job import Job, Outcome, main
from bench.quality_table import RESIDENT, RULES, Asked

_COMPARED = {"<=": pl.Expr.le, "<": pl.Expr.lt}
_WRITTEN = {
    "checked = true": pl.col("checked"),
    "so2 < 480": pl.col("so2") < 480,
    "pm25 + pm10 < 590": pl.col("pm25") + pl.col("pm10") < 590,
}


def judge(job: Job) -> Outcome:
    """The resident id's check digit is left out: only its form is looked at."""
    table = pl.scan_parquet(list(job.files))
    found = table.select(*(_failures(rule).alias(rule.id) for rule in RULES)).collect(engine="streaming")
    return Outcome({name: int(count) for name, count in found.row(0, named=True).items()})


def _failures(rule: Asked) -> pl.Expr:
    column, more = pl.col(rule.fields[0]), rule.more
    match rule.kind:
        case "not_null":
            return column.null_count()
        case "range":
            good = column.is_between(more["min"], more["max"])
        case "length":
            good = column.str.len_chars().is_between(more["min"], more["max"])
        case "pattern":
            good = column.str.contains(f"^(?:{more['text']})$")
        case "resident_id":
            good = column.str.contains(f"^(?:{RESIDENT})$")
        case "mobile_phone":
            good = column.str.contains("^1[3-9][0-9]{9}$")
        case "postcode":
            good = column.str.contains("^[0-9]{6}$")
        case "in_list":
            good = column.is_in(list(more["values"]))
        case "compared":
            good = _COMPARED[more["operator"]](column, pl.col(rule.fields[1]))
        case "not_future":
            good = column <= datetime.now(UTC)
        case "conditional":
            good = pl.when(_WRITTEN[more["when"]]).then(_WRITTEN[more["then"]])
        case "expression":
            good = _WRITTEN[more["text"]]
        case "unique":
            return pl.len() - pl.struct(rule.fields).n_unique()
        case other:
            raise ValueError(other)
    return good.not_().sum()


if __name__ == "__main__":
    main("polars", judge)
