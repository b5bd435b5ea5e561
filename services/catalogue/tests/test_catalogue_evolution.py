"""The rule of evolution: what is allowed never fails, what is refused always fails with its name, and the lake says
the same, word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2 as pb
from plaza_catalogue.domain.evolution import ContractConflict, check_evolution, conflicts
from plaza_ingestion.domain.table_schema import table_schema
from plaza_lake import evolution as lake

TYPES = st.sampled_from([value for value in pb.FieldType.values() if value])
NAMES = st.sampled_from("abcdefgh")


@st.composite
def contracts(draw: st.DrawFn) -> pb.Contract:
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    fields = [pb.Field(name=name, type=draw(TYPES), required=draw(st.booleans())) for name in names]
    key = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    return pb.Contract(fields=fields, key=key)


def by_name(contract: pb.Contract, name: str) -> pb.Field:
    return next(field for field in contract.fields if field.name == name)


@given(contracts(), contracts())
def test_the_lake_says_the_same(present: pb.Contract, wanted: pb.Contract) -> None:
    told = ""
    try:
        lake.check_evolution(table_schema(present), table_schema(wanted))
    except lake.SchemaConflict as error:
        told = error.facts["differences"]
    assert "\n".join(each.description for each in conflicts(present, wanted)) == told


@given(contracts(), st.data())
def test_what_is_allowed_is_never_refused(present: pb.Contract, data: st.DataObject) -> None:
    fields = [pb.Field() for _ in present.fields]
    for new, old in zip(fields, present.fields, strict=True):
        new.CopyFrom(old)
        new.required = old.required and data.draw(st.booleans())
        new.title, new.unit, new.source_name = data.draw(st.tuples(*[st.text(max_size=3)] * 3))
    added = data.draw(st.sets(st.sampled_from("stuvw"), max_size=3))
    fields.extend(pb.Field(name=name, type=data.draw(TYPES)) for name in sorted(added))
    wanted = pb.Contract(fields=data.draw(st.permutations(fields)), key=present.key)
    wanted.format.missing_values.append("NA")
    wanted.rules.add(id="r").not_null.field = present.fields[0].name
    check_evolution(present, wanted, 1)


@given(contracts(), contracts(), st.data())
def test_a_changed_type_is_refused_and_named(
    present: pb.Contract, other: pb.Contract, data: st.DataObject
) -> None:
    old = data.draw(st.sampled_from(present.fields))
    wanted = pb.Contract(fields=[field for field in other.fields if field.name != old.name], key=present.key)
    changed = wanted.fields.add(name=old.name, type=data.draw(TYPES.filter(lambda each: each != old.type)))
    with pytest.raises(ContractConflict) as raised:
        check_evolution(present, wanted, 3)
    place = f"contract.fields[{len(wanted.fields) - 1}].type"
    said = [v.description for v in raised.value.violations if v.field == place]
    words = [pb.FieldType.Name(t).removeprefix("FIELD_TYPE_").lower() for t in (old.type, changed.type)]
    assert said == [f"field {old.name} is {words[0]}, the new one would be {words[1]}"]
    assert said[0] in raised.value.message


def test_every_difference_has_its_place() -> None:
    present = pb.Contract(
        fields=[
            pb.Field(name="id", type=pb.FIELD_TYPE_STRING),
            pb.Field(name="n", type=pb.FIELD_TYPE_INTEGER),
            pb.Field(name="t", type=pb.FIELD_TYPE_DATE),
        ],
        key=["id"],
    )
    wanted = pb.Contract(
        fields=[
            pb.Field(name="x", type=pb.FIELD_TYPE_STRING, required=True),
            pb.Field(name="n", type=pb.FIELD_TYPE_NUMBER, required=True),
            pb.Field(name="id", type=pb.FIELD_TYPE_STRING),
        ],
        key=["id", "n"],
    )
    with pytest.raises(ContractConflict) as raised:
        check_evolution(present, wanted, 7)
    assert [(v.field, v.description) for v in raised.value.violations] == [
        ("contract.key", "its key is (id), the new one would be (id, n)"),
        ("contract.fields[1].type", "field n is integer, the new one would be number"),
        ("contract.fields[1].required", "field n would become required, but earlier rows may lack it"),
        ("contract.fields", "field t is missing"),
        ("contract.fields[0].required", "new field x is required, but earlier rows lack it"),
    ]
    assert raised.value.facts["version"] == "7"
    assert raised.value.remedy
