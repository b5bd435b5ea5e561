"""What an expression of a department may be made of; all else is refused."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

PREDICATES: Final = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.ILike,
    exp.StartsWith,
    exp.EndsWith,
    exp.Contains,
    exp.RegexpLike,
    exp.RegexpFullMatch,
    exp.IsNan,
    exp.IsInf,
)
_VALUES: Final = (
    exp.Paren,
    exp.Column,
    exp.Identifier,
    exp.Literal,
    exp.Boolean,
    exp.Null,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.IntDiv,
    exp.Mod,
    exp.Neg,
    exp.DPipe,
    exp.Cast,
    exp.TryCast,
    exp.DataType,
    exp.DataTypeParam,
    exp.Case,
    exp.If,
    exp.Coalesce,
    exp.Nullif,
    exp.Interval,
    exp.Var,
    exp.Abs,
    exp.Sign,
    exp.Round,
    exp.Ceil,
    exp.Floor,
    exp.Sqrt,
    exp.Ln,
    exp.Greatest,
    exp.Least,
    exp.Lower,
    exp.Upper,
    exp.Length,
    exp.Left,
    exp.Right,
    exp.Substring,
    exp.StrPosition,
    exp.Trim,
    exp.Concat,
    exp.Replace,
    exp.Extract,
    exp.Year,
    exp.Month,
    exp.Day,
    exp.Hour,
    exp.Minute,
    exp.Second,
    exp.DayOfWeek,
    exp.DateDiff,
    exp.TimestampTrunc,
    exp.DateTrunc,
)
ALLOWED: Final = frozenset((*PREDICATES, *_VALUES))
HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories of characters that nobody sees: who reviews a rule must see what it says."""
TYPES: Final = frozenset(
    {
        exp.DType.VARCHAR,
        exp.DType.TEXT,
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.DOUBLE,
        exp.DType.DECIMAL,
        exp.DType.BOOLEAN,
        exp.DType.DATE,
        exp.DType.TIMESTAMP,
        exp.DType.TIMESTAMPTZ,
    }
)
UNITS: Final = frozenset(
    {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "DOW", "DOY"}
)
FUNCTIONS: Final = (
    "abs ceil coalesce concat contains date_diff date_trunc day ends_with extract floor greatest hour isinf isnan "
    "least left length ln lower minute month nullif regexp_full_match regexp_matches replace right round second sign "
    "sqrt starts_with strpos substring trim try_cast upper year"
)
