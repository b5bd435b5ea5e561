from __future__ import annotations

from typing import Any

import pytest
import yaml
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2 as pb
from plaza.common.v1 import grades_pb2
from plaza_catalogue.domain.odcs import ContractDocument, render
from plaza_catalogue.domain.odcs_parse import parse
from plaza_catalogue.domain.odcs_yaml import BadDocument

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), min_size=1, max_size=5, unique=True)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def _any(message: type[Any], **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(message, **parts)


def steps(names: list[str]) -> st.SearchStrategy[pb.Step]:
    """Each kind, with every part of its message drawn."""
    field, texts = st.sampled_from(names), st.lists(_TEXT, max_size=3)
    some = st.lists(field, unique=True)
    decimal = st.sampled_from(["", "0.10", "-273.15", "9"])
    codes = st.lists(_any(pb.CodeMapping, text=_TEXT, code=_TEXT), max_size=3)
    kinds = {
        "build_timestamp": _any(
            pb.BuildTimestamp,
            **dict.fromkeys(("target", "year", "month", "day", "hour", "minute", "second"), field),
            zone=_TEXT,
        ),
        "trim": _any(pb.Trim, fields=some),
        "map_missing": _any(pb.MapMissing, fields=some, tokens=texts),
        "map_codes": _any(pb.MapCodes, field=field, codes=codes, otherwise=st.integers(0, 2)),
        "parse_time": _any(pb.ParseTime, field=field, formats=texts, zone=_TEXT),
        "convert_unit": _any(
            pb.ConvertUnit,
            field=field,
            from_unit=_TEXT,
            to_unit=_TEXT,
            factor=decimal,
            offset=decimal,
            divisor=decimal,
        ),
        "build_key": _any(pb.BuildKey, target=field, parts=some, separator=_TEXT),
        "keep_latest": _any(pb.KeepLatest, field=field),
    }
    assert kinds.keys() == {one.name for one in pb.Step.DESCRIPTOR.oneofs[0].fields}
    step_name = st.sampled_from(["", "trim-all", "read_day"])
    return st.one_of(_any(pb.Step, name=step_name, **{kind: drawn}) for kind, drawn in kinds.items())


def checks(names: list[str]) -> dict[str, st.SearchStrategy[Any]]:
    """Each kind of quality rule, with every part of its message drawn."""
    field = st.sampled_from(names)
    some = st.lists(field, unique=True, min_size=1)
    span = st.builds(Duration, seconds=st.integers(0, 10**6), nanos=st.sampled_from([0, 500_000_000]))
    bound, positive = st.none() | _NUMBERS, st.floats(0, 1e9)
    count = st.none() | st.integers(0, 2**40)
    values = st.lists(
        _TEXT | st.sampled_from(["1", "-1", "01", "-0", "true", "２"]), unique=True, min_size=1, max_size=5
    )
    return {
        "not_null": _any(pb.NotNullCheck, field=field),
        "range": _any(pb.RangeCheck, field=field, minimum=bound, maximum=bound),
        "unique": _any(pb.UniqueCheck, fields=some),
        "format": _any(pb.FormatCheck, field=field, format=st.sampled_from(pb.TextFormat.values()[1:])),
        "length": _any(
            pb.LengthCheck, field=field, minimum=st.integers(0, 9), maximum=st.none() | st.integers(0, 9)
        ),
        "pattern": _any(pb.PatternCheck, field=field, pattern=_TEXT | st.just("^(?:a)$")),
        "in_list": _any(pb.InListCheck, field=field, values=values),
        "in_code_list": _any(
            pb.InCodeListCheck,
            field=field,
            code_list=st.sampled_from(["", "codeLists/gender/versions/1"]),
            current_only=st.booleans(),
        ),
        "compare": _any(
            pb.CompareCheck,
            left=field,
            comparison=st.sampled_from(pb.Comparison.values()[1:]),
            right=field,
            tolerance=positive,
        ),
        "conditional": _any(pb.ConditionalCheck, when=_TEXT, then=_TEXT),
        "referential": _any(
            pb.ReferentialCheck, fields=some, dataset=st.just("departments/a/datasets/b"), other_fields=some
        ),
        "agrees_with": _any(
            pb.AgreesWithCheck,
            dataset=st.just("departments/a/datasets/b"),
            key=some,
            other_key=some,
            fields=some,
            other_fields=some,
            relative_tolerance=st.sampled_from([0.0, 0.01]),
            time_tolerance=st.none() | span,
            fold_width=st.booleans(),
        ),
        "not_future": _any(pb.NotFutureCheck, field=field, tolerance=st.none() | span),
        "monotone": _any(
            pb.MonotoneCheck,
            field=field,
            ordered_by=field,
            within=st.lists(field, unique=True),
            falling=st.booleans(),
            strict=st.booleans(),
        ),
        "freshness": _any(pb.FreshnessCheck, field=field, within=st.none() | span, grace=st.none() | span),
        "row_count": _any(
            pb.RowCountCheck,
            minimum=count,
            maximum=count,
            growth_percent=st.none() | positive,
            loss_percent=st.none() | st.floats(0, 100),
        ),
        "drift": _any(pb.DriftCheck, field=field, limit=positive, bins=st.integers(0, 50)),
        "expression": _any(pb.ExpressionCheck, expression=_TEXT),
    }


@st.composite
def contracts(draw: st.DrawFn) -> pb.Contract:
    names = draw(_NAMES)
    contract = pb.Contract(key=draw(st.lists(st.sampled_from(names), unique=True, max_size=2)))
    for name in names:
        contract.fields.add(
            name=name,
            source_name=draw(_TEXT),
            type=draw(st.integers(1, 6)),
            required=draw(st.booleans()),
            title=draw(_TEXT),
            description=draw(_TEXT),
            unit=draw(_TEXT),
            missing_values=draw(st.lists(_TEXT, max_size=2)),
            code_list=draw(st.sampled_from(["", "codeLists/gender", "codeLists/divisions/versions/2024-1"])),
        )
    for number in range(draw(st.integers(0, 4))):
        rule = contract.rules.add(
            id=f"r{number}",
            title=draw(_TEXT),
            dimension=draw(st.integers(1, 6)),
            threshold_percent=draw(st.integers(0, 10**6)) / 10**4,
            weight=draw(st.floats(0, 1000)),
        )
        rule.severity = draw(st.sampled_from(pb.RuleSeverity.values()))
        rule.indicator = draw(st.sampled_from(["", "0303"]))
        rule.stops_sharing, rule.stops_opening = draw(st.booleans()), draw(st.booleans())
        kinds = checks(names)
        assert kinds.keys() == {
            each.name for each in pb.QualityRule.DESCRIPTOR.oneofs_by_name["check"].fields
        }
        kind = draw(st.sampled_from(sorted(kinds)))
        getattr(rule, kind).CopyFrom(draw(kinds[kind]))
    contract.steps.extend(draw(st.lists(steps(names), max_size=4)))
    contract.format.delimiter = draw(st.sampled_from([",", ";", "\t"]))
    contract.format.missing_values.extend(draw(st.lists(_TEXT, max_size=2)))
    contract.format.type = draw(st.sampled_from(["", "csv", "xlsx", "xml"]))
    contract.format.encoding = draw(st.sampled_from(["", "gb18030"]))
    contract.format.sheet, contract.format.record_path = draw(_TEXT), draw(_TEXT)
    return contract


@settings(max_examples=50, deadline=None)
@given(contracts(), _TEXT, _TEXT)
def test_what_is_written_is_read_and_written_the_same(
    contract: pb.Contract, title: str, purpose: str
) -> None:
    document = ContractDocument(contract, title, purpose)
    text = render(document)
    back = parse(text)
    assert back == document
    assert render(back) == text


@settings(max_examples=50, deadline=None)
@given(contracts(), st.floats(0, 100))
def test_any_threshold_keeps_its_bytes(contract: pb.Contract, threshold: float) -> None:
    for rule in contract.rules:
        rule.threshold_percent = threshold
    text = render(ContractDocument(contract))
    assert render(parse(text)) == text


def test_the_document_speaks_odcs(air_contract: pb.Contract) -> None:
    data = yaml.safe_load(render(ContractDocument(air_contract, "空气质量")))
    assert (data["apiVersion"], data["kind"], data["name"]) == ("v3.1.0", "DataContract", "空气质量")
    table = data["schema"][0]
    pm = table["properties"][3]
    assert pm["physicalName"] == "PM2_5"
    assert pm["businessName"] == "细颗粒物"
    assert pm["logicalType"] == "number"
    assert {"property": "unit", "value": "μg/m³"} in pm["customProperties"]
    assert pm["quality"][0]["metric"] == "nullValues"
    assert pm["quality"][0]["mustBeLessOrEqualTo"] == 2.5
    assert pm["quality"][1]["dimension"] == "conformity"
    assert table["properties"][4]["primaryKeyPosition"] == 1
    assert table["quality"][0]["arguments"] == {"properties": ["observed_at"]}


_HEAD = "apiVersion: v3.1.0\nkind: DataContract\n"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("a: [1", "line 1"),
        ("- 1", "must be a map"),
        ("a: &x 1\nb: *x", "line 2, column 4"),
        ("a: 1\na: 2", "line 2"),
        ("[" * 3000, "the document"),
        ("kind: DataContract", "apiVersion"),
        ("apiVersion: v2.2.2\nkind: DataContract", "apiVersion"),
        (_HEAD + "schema: []", "schema"),
        (
            _HEAD + "schema:\n- properties:\n  - name: a\n    logicalType: array",
            "schema[0].properties[0].logicalType",
        ),
        (_HEAD + "schema:\n- properties:\n  - logicalType: string", "schema[0].properties[0].name"),
        (
            _HEAD
            + "schema:\n- properties:\n  - name: a\n    logicalType: string\n    quality:\n    - type: sql",
            "schema[0].properties[0].quality[0]",
        ),
    ],
)
def test_an_error_names_its_place(document: str, place: str) -> None:
    with pytest.raises(BadDocument) as raised:
        parse(document)
    assert place in raised.value.message


_RULE = _HEAD + "schema:\n- properties:\n  - name: a\n    logicalType: string\n    quality:\n    - "


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        (
            "{metric: invalidValues, arguments: {validValues: [1, yes, x]}, mustBe: 0}",
            {"in_list": {"field": "a", "values": ["1", "true", "x"]}},
        ),
        (
            "{metric: invalidValues, arguments: {pattern: '^[A-Z]+$'}, mustBe: 0, severity: critical}",
            {"pattern": {"field": "a", "pattern": "^[A-Z]+$"}},
        ),
        (
            "{type: custom, engine: plaza, implementation: {check: format, format: TEXT_FORMAT_RESIDENT_ID}}",
            {"format": {"field": "a", "format": "TEXT_FORMAT_RESIDENT_ID"}},
        ),
    ],
)
def test_rules_of_others_are_understood(rule: str, check: dict[str, Any]) -> None:
    [found] = parse(_RULE + rule).contract.rules
    said = MessageToDict(found, preserving_proto_field_name=True)
    assert check.items() <= said.items()
    assert found.threshold_percent == 100
    assert found.dimension == grades_pb2.DIMENSION_VALIDITY
    assert found.id.startswith("a-")


@pytest.mark.parametrize(
    ("operators", "minimum", "maximum"),
    [
        ("mustBe: 7", 7, 7),
        ("mustBeGreaterThan: 7", 8, None),
        ("mustBeGreaterOrEqualTo: 7, mustBeLessThan: 9", 7, 8),
        ("mustBeBetween: [1, 3]", 1, 3),
    ],
)
def test_row_counts_of_others(operators: str, minimum: int | None, maximum: int | None) -> None:
    text = (
        _HEAD
        + "schema:\n- properties:\n  - {name: a, logicalType: string}\n  quality:\n  - {metric: rowCount, "
    )
    [rule] = parse(f"{text}{operators}}}").contract.rules
    assert rule.id == "table-row-count"
    bounds = {"minimum": minimum, "maximum": maximum}
    assert rule.row_count == pb.RowCountCheck(
        **{name: each for name, each in bounds.items() if each is not None}
    )


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("{metric: invalidValues, arguments: {validValues: [1], pattern: x}, mustBe: 0}", ".arguments"),
        ("{metric: invalidValues, arguments: {validValues: [1.5]}, mustBe: 0}", ".arguments.validValues[0]"),
        ("{metric: rowCount, mustBe: 1}", ""),
        (
            "{type: custom, engine: plaza, implementation: {check: unique, fields: [a]}}",
            ".implementation.check",
        ),
        ("{type: custom, engine: plaza, implementation: {check: format, form: X}}", ".implementation"),
        ("{type: custom, engine: plaza, implementation: {check: format, field: b}}", ".implementation.field"),
        ("{type: custom, engine: soda, implementation: {}}", ""),
        ("{metric: nullValues, mustBe: 0, severity: grave}", ".severity"),
    ],
)
def test_a_rule_that_would_be_lost_is_refused_at_its_place(rule: str, place: str) -> None:
    with pytest.raises(BadDocument) as raised:
        parse(_RULE + rule)
    assert raised.value.facts["place"] == f"schema[0].properties[0].quality[0]{place}"


def test_a_date_in_a_title_stays_text() -> None:
    text = _HEAD + "name: 2024-01-01\nschema:\n- properties:\n  - {name: a, logicalType: string}"
    assert parse(text).title == "2024-01-01"
