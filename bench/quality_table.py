"""The table and the rules of the quality bench, for all products alike: twelve columns as departments have them, with
dirt, and twenty-one rules. The standard library alone: other products' environments import it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COLUMNS = (
    ("id", "INTEGER"),
    ("station", "STRING"),
    ("at", "TIMESTAMP"),
    ("pm25", "NUMBER"),
    ("pm10", "NUMBER"),
    ("so2", "INTEGER"),
    ("no2", "INTEGER"),
    ("wind", "STRING"),
    ("phone", "STRING"),
    ("resident", "STRING"),
    ("division", "STRING"),
    ("checked", "BOOLEAN"),
)
WINDS = ("N", "S", "E", "W", "NE", "NW", "SE", "SW")
RESIDENT = r"[1-9][0-9]{5}(18|19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]"

ROWS = """
SELECT i AS id,
  'S' || (hash(i) % 2000) AS station,
  TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_minutes((i % 80000)::BIGINT) AS at,
  CASE WHEN hash(i + 1) % 50 = 0 THEN NULL ELSE (hash(i + 2) % 5000) / 10.0 END AS pm25,
  (hash(i + 3) % 1000) / 10.0 AS pm10,
  (hash(i + 4) % 500)::BIGINT AS so2,
  CASE WHEN hash(i + 5) % 97 = 0 THEN NULL ELSE (hash(i + 6) % 300)::BIGINT END AS no2,
  ['N', 'S', 'E', 'W', 'NE', 'NW', 'SE', 'SW', 'X'][((hash(i + 7) % 9) + 1)::BIGINT] AS wind,
  '1' || (3 + hash(i + 8) % 7) || lpad((hash(i + 9) % 1000000000)::VARCHAR, 9, '0') AS phone,
  '110101' || strftime(DATE '1950-01-01' + (hash(i + 10) % 20000)::INT, '%Y%m%d')
    || lpad((hash(i + 11) % 1000)::VARCHAR, 3, '0')
    || ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'X'][((hash(i + 12) % 11) + 1)::BIGINT] AS resident,
  lpad((hash(i + 13) % 3000)::VARCHAR, 6, '1') AS division,
  hash(i + 14) % 2 = 0 AS checked
FROM range({first}, {last}) rows(i) ORDER BY i
"""
"""DuckDB's SQL; the same rows on every machine."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule. Kinds: not_null, range (min, max), length (min, max), pattern (text), in_list (values), resident_id,
    mobile_phone, postcode, compared (fields[0] operator fields[1]), not_future, conditional and expression (in Plaza's
    filter text and in SQL), unique."""

    id: str
    kind: str
    fields: tuple[str, ...]
    more: dict[str, Any] = field(default_factory=dict)


RULES = (
    Asked("pm25-there", "not_null", ("pm25",)),
    Asked("no2-there", "not_null", ("no2",)),
    Asked("resident-there", "not_null", ("resident",)),
    Asked("pm25-range", "range", ("pm25",), {"min": 0, "max": 450}),
    Asked("pm10-range", "range", ("pm10",), {"min": 0, "max": 95}),
    Asked("so2-range", "range", ("so2",), {"min": 0, "max": 490}),
    Asked("no2-range", "range", ("no2",), {"min": 0, "max": 290}),
    Asked("resident-form", "resident_id", ("resident",)),
    Asked("phone-form", "mobile_phone", ("phone",)),
    Asked("station-length", "length", ("station",), {"min": 2, "max": 5}),
    Asked("station-pattern", "pattern", ("station",), {"text": "S[0-9]+"}),
    Asked("wind-listed", "in_list", ("wind",), {"values": WINDS}),
    Asked("division-form", "postcode", ("division",)),
    Asked("division-length", "length", ("division",), {"min": 6, "max": 6}),
    Asked("phone-pattern", "pattern", ("phone",), {"text": "1[3-9][0-9]{9}"}),
    Asked("pm25-pm10", "compared", ("pm25", "pm10"), {"operator": "<="}),
    Asked("so2-no2", "compared", ("so2", "no2"), {"operator": "<"}),
    Asked("not-future", "not_future", ("at",)),
    Asked("checked-so2", "conditional", ("checked", "so2"), {"when": "checked = true", "then": "so2 < 480"}),
    Asked("sum-expression", "expression", ("pm25", "pm10"), {"text": "pm25 + pm10 < 590"}),
    Asked("station-at-once", "unique", ("station", "at")),
)
