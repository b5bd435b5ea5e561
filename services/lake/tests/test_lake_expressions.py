"""What a department may write as an expression, and what it may not: nothing is reached but its own columns."""

from __future__ import annotations

import time

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_lake.expressions import ExpressionRefused, parse_expression
from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.render import to_sql
from plaza_lake.schema import duckdb_type

SCHEMA = TableSchema(
    (
        Column("a", FieldType.INTEGER),
        Column("b", FieldType.BOOLEAN),
        Column("s", FieldType.STRING),
        Column("x", FieldType.NUMBER),
        Column("d", FieldType.DATE),
        Column("t", FieldType.TIMESTAMP),
    )
)

ALLOWED = [
    ("a > 1 AND NOT b", True),
    ("A BETWEEN 1 AND 3 OR x IS NULL", True),
    ("b", False),
    ("s LIKE 'a%' AND s NOT LIKE '_'", True),
    ("s IN ('ab', 'c') AND a NOT IN (1, 3)", True),
    ("CASE WHEN a > 1 THEN b ELSE true END", False),
    ("CAST(s AS INTEGER) > 1", None),
    ("a * 9223372036854775807 > a", None),
    ("a / 0 > 0", True),  # infinity, as in IEEE 754
    ("length(trim(upper(s) || '!')) = 3", True),
    ("regexp_full_match(s, '[a-z]{2}')", True),
    ("d + INTERVAL 1 DAY = DATE '2024-03-01'", True),
    ("date_diff('day', d, CAST(t AS DATE)) = 1", True),
    ("extract(year FROM d) = 2024 AND month(d) = 2", True),
    ("coalesce(x, 0) <= abs(-a) AND round(x, 1) IS NULL", True),
    ("replace(s, 'ab', 'c') = 'c'", True),
    (" OR ".join(["a = 1"] * 60) + " OR a = 2", True),
    ('"a" <> 1', True),
    ("s = '; DROP TABLE x --'", False),
]


@pytest.mark.parametrize(("text", "expected"), ALLOWED)
def test_plain_expressions_are_what_they_say(text: str, expected: bool | None) -> None:
    node = parse_expression(text, SCHEMA)
    row = {"a": 2, "b": False, "s": "ab", "x": None, "d": "2024-02-29", "t": "2024-03-01 00:00:00+00"}
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(
            f"CAST(${each.name} AS {duckdb_type(each.type)}) AS {each.name}" for each in SCHEMA.columns
        )
        connection.execute(f"CREATE TABLE rows AS SELECT {columns}", row)
        assert connection.execute(f"SELECT {to_sql(node)} FROM rows").fetchone() == (expected,)


REFUSED = {
    "files": [
        "read_csv('/etc/passwd') IS NOT NULL",
        "a > (SELECT count(*) FROM read_csv('/etc/passwd'))",
        "a IN (SELECT 1 FROM '/etc/passwd')",
        "s = read_text('/etc/passwd')",
        "s IN (SELECT content FROM read_text('/etc/hostname'))",
        "read_parquet('s3://bucket/x') > a",
        "EXISTS (SELECT 1 FROM glob('/*'))",
        "COPY (SELECT a) TO '/tmp/x'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD '/tmp/x.so'",
        "EXPORT DATABASE '/tmp/x'",
        "a > 1 INTO OUTFILE '/tmp/x'",
    ],
    "settings": [
        "getenv('HOME') = s",
        "current_setting('access_mode') = s",
        "SET threads = 1",
        "PRAGMA version",
        "version() = s",
        "current_user = s",
        "current_schema() = s",
        "getvariable('v') = a",
        "s = current_database()",
        "CALL pragma_version()",
    ],
    "other tables": [
        "a > (SELECT max(a) FROM rows)",
        "rows.a > 1",
        "main.rows.a > 1",
        "information_schema.tables IS NULL",
        "a = ANY (SELECT 1)",
        "(a, s) IN (SELECT 1, 'x')",
        "TABLE rows",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "VALUES (1)",
        "COLUMNS('.*') > 1",
        "* > 1",
    ],
    "several rows": [
        "count(*) > 1",
        "a > max(a)",
        "row_number() OVER () = 1",
        "a > lag(a) OVER (ORDER BY a)",
        "sum(a) FILTER (WHERE b) > 1",
        "unnest([a]) = 1",
    ],
    "code": [
        "list_transform([a], v -> v + 1) = [2]",
        "list_filter([a], lambda v : v > 1) = [2]",
        "CREATE MACRO f(v) AS v",
        "f(a)",
        "a > 1; DROP TABLE rows",
        "a > 1;",
        "DROP TABLE rows",
        "DELETE FROM rows",
        "a > $1",
        "a > ?",
        "eval('1') = a",
        "query('SELECT 1') = a",
        "query_table('rows') = a",
        "try(a > 1)",
        "error(s)",
    ],
    "types": [
        "a::regclass > 1",
        "CAST(s AS JSON) = s",
        "a::HUGEINT[] = [1]",
        "s::BLOB = s",
        "CAST(s AS STRUCT(i INT)) = s",
    ],
    "comments": ["a > 1 -- all", "a /* x */ > 1", "a > 1 /*", "--"],
    "memory": [
        "repeat(s, 1000000000) = s",
        "lpad(s, 1000000000, 'x') = s",
        "rpad(s, 1000000000, 'x') = s",
        "format('{:>1000000000}', s) = s",
        "printf('%1000000000s', s) = s",
        "len(range(1000000000)) > a",
        "generate_series(1, 1000000000) IS NULL",
        "replace(s, 'a', 'aaaaaaaaaa') = s",
        "replace(replace(s, 'a', 'bb'), 'b', 'aa') = s",
        "regexp_replace(s, '', 'aaaa', 'g') = s",
        "string_split(s, '') IS NULL",
        "a::VARCHAR = '" + "x" * 501 + "'",
        "(" * 40 + "a > 1" + ")" * 40,
        "NOT " * 60 + "b",
        "abs(" * 40 + "a" + ")" * 40 + " > 1",
        " OR ".join(["a = 1"] * 300),
        "a = 1" + " " * 2000,
        "s LIKE '%a%a%a%_%a%a%a%'",
        "s LIKE s",
        "regexp_matches(s, s)",
        "s ~ (s || '+')",
        "regexp_full_match(s, concat('a', s))",
        "a = " + "9" * 41,
    ],
    "clock and chance": [
        "now() > t",
        "current_date > d",
        "today() > d",
        "random() < x",
        "uuid() = s",
        "current_timestamp > t",
    ],
    "signs": [
        "\uff41 > 1",
        "a\u200b > 1",
        "s = '\u202eevil'",
        "a > 1\x00",
        "a > 1\x1b",
        "s = E'\\n'",
        "s = $$x$$",
        "s = U&'\\0041'",
        "s = x'41'",
        "s = N'x'",
        "`a` > 1 AND `nothing` > 1",
        "s = \u2018x\u2019",
    ],
    "no condition": [
        "",
        "   ",
        "a",
        "a + 1",
        "1 = 1",
        "true",
        "s || 'x'",
        "a >",
        "AND",
        "nothing > 1",
        "a > 1 2",
        "CASE a WHEN 1 THEN 2 END",
    ],
    "nothing we know": [
        "s COLLATE NOCASE = 'a'",
        "s GLOB '*'",
        "s SIMILAR TO 'a'",
        "[a][1] = 1",
        "{'k': a}.k = 1",
        "s[1:2] = 'a'",
        "a ** 2 > 1",
        "a << 62 > 1",
        "a! > 1",
        "md5(s) = s",
        "hash(s) = a",
        "nextval('q') = a",
        "pg_sleep(10) IS NULL",
    ],
}


@pytest.mark.parametrize("text", [text for texts in REFUSED.values() for text in texts])
def test_everything_else_is_refused_with_place_and_reason(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionRefused) as raised:
        parse_expression(text, SCHEMA)
    assert time.process_time() - start < 2
    error = raised.value
    assert error.problem
    assert error.remedy
    assert 0 <= error.position <= len(text) + 1
    assert [each.field for each in error.violations] == ["expression"]


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("a > 1 AND read_csv('/etc/passwd')", 11, "the function read_csv is not allowed"),
        ("a > 1 AND nothing = 2", 11, "unknown field 'nothing'"),
        ("a > 1; DROP TABLE rows", 6, "a semicolon"),
        ("a > 1 -- all", 5, "a comment"),
        ("a IN (SELECT 1)", 1, "IN takes a list of values only"),
    ],
)
def test_a_refusal_says_where(text: str, position: int, problem: str) -> None:
    with pytest.raises(ExpressionRefused) as raised:
        parse_expression(text, SCHEMA)
    assert (raised.value.position, raised.value.problem) == (position, problem)


def test_a_field_that_is_not_granted_is_as_if_it_were_not_there() -> None:
    with pytest.raises(ExpressionRefused, match="unknown field 's'"):
        parse_expression("a > 1 AND s = 'x'", SCHEMA.select(["a"]))


@given(st.text(st.sampled_from("as>1'\"();-/*.,\\ \n$[]{}:ANDORselect\u202e"), max_size=40))
def test_no_text_gets_through_in_another_way(text: str) -> None:
    """Whatever it is: refused, or a tree of our own columns alone."""
    try:
        node = parse_expression(text, SCHEMA)
    except ExpressionRefused:
        return
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute(
            "CREATE TABLE rows (a BIGINT, b BOOLEAN, s VARCHAR, x DOUBLE, d DATE, t TIMESTAMPTZ)"
        )
        connection.execute(f"SELECT {to_sql(node)} FROM rows")
