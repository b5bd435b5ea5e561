"""Contracts in the editor: never bent by being looked at, put together without loss, compared place by place."""

from __future__ import annotations

from html import escape, unescape

from hypothesis import given
from hypothesis import strategies as st
from plaza.common.v1 import contract_pb2 as pb
from plaza_gateway.console import contract_changes, contract_draft, contract_merge, steps_form
from plaza_gateway.transcode.problems import Complaint

TEXTS = st.text(alphabet='ab=|\t\r\n 无"<', max_size=6)
NAMES = st.sampled_from(["a", "b", "c"])


def as_sent(value: str, *, lines: bool) -> str:
    """What a browser sends of a value that nobody touched (HTML, 4.10.5 and 4.10.11: line ends)."""
    plain = unescape(escape(value)).replace("\r\n", "\n").replace("\r", "\n")
    return plain.replace("\n", "\r\n") if lines else plain.replace("\n", "")


STEPS = st.one_of(
    st.builds(lambda fields: pb.Step(trim=pb.Trim(fields=fields)), st.lists(NAMES, unique=True)),
    st.builds(lambda tokens: pb.Step(map_missing=pb.MapMissing(tokens=tokens)), st.lists(TEXTS)),
    st.builds(
        lambda name, codes, otherwise: pb.Step(
            name=name,
            map_codes=pb.MapCodes(
                field="a", codes=[pb.CodeMapping(text=t, code=c) for t, c in codes], otherwise=otherwise
            ),
        ),
        TEXTS,
        st.lists(st.tuples(TEXTS, TEXTS)),
        st.sampled_from([0, 1, 2]),
    ),
    st.builds(lambda formats: pb.Step(parse_time=pb.ParseTime(field="a", formats=formats)), st.lists(TEXTS)),
    st.builds(
        lambda parts, sign: pb.Step(build_key=pb.BuildKey(target="c", parts=parts, separator=sign)),
        st.lists(NAMES, unique=True),
        TEXTS,
    ),
    st.builds(lambda factor: pb.Step(convert_unit=pb.ConvertUnit(field="a", factor=factor)), TEXTS),
)


@given(STEPS)
def test_a_step_that_was_only_looked_at_is_the_same_step(step: pb.Step) -> None:
    draft = steps_form.drafted(step)
    form = {"s0.name": as_sent(draft.name, lines=False)}
    for name, text in draft.texts.items():
        form[f"s0.{name}"] = as_sent(text, lines=name in ("codes", "formats"))
    for number, name in enumerate(draft.names):
        form["s0.in." + str(number) if draft.kind in ("trim", "map_missing") else f"s0.parts.{number}"] = name
    assert steps_form.filled_in(form, 0, step).step == step


def contract(**units: str) -> pb.Contract:
    made = pb.Contract(key=["a"])
    for name, unit in units.items():
        made.fields.add(name=name, type=pb.FIELD_TYPE_NUMBER, unit=unit)
    return made


@given(
    st.dictionaries(NAMES, st.sampled_from("xy")),
    st.dictionaries(NAMES, st.sampled_from("xy")),
    st.dictionaries(NAMES, st.sampled_from("xy")),
)
def test_what_only_one_changed_stays_changed(
    was: dict[str, str], mine: dict[str, str], theirs: dict[str, str]
) -> None:
    both = contract_merge.merged(contract(**was), contract(**mine), contract(**theirs))
    units = {each.name: each.unit for each in both.fields}
    assert len(units) == len(both.fields)
    for name in {*was, *mine, *theirs}:
        then, here, there = was.get(name), mine.get(name), theirs.get(name)
        if here == then:
            assert units.get(name) == there
        elif there == then:
            assert units.get(name) == here
        else:
            # What was taken out here and changed there comes back: the person sees it.
            assert units.get(name) == (here or there)


def test_each_difference_has_its_place_and_its_verdict() -> None:
    before, after = contract(a="x", b="x", gone="x"), contract(b="x", a="y", new="x")
    after.fields[0].type = pb.FIELD_TYPE_STRING
    after.fields[1].required = True
    after.key[:] = ["b"]
    after.format.encoding = "gb18030"
    after.steps.add().trim.SetInParent()
    refused = (
        Complaint("body", "contract.key", "its key is (a), the new one would be (b)"),
        Complaint("body", "contract.fields", "field gone is missing"),
        Complaint("body", "contract.fields[0].type", "field b is number, the new one would be string"),
        Complaint(
            "body", "contract.fields[2].required", "new field new is required, but earlier rows lack it"
        ),
    )
    found = contract_changes.changes(before, after, refused)
    assert {(each.meaning, each.field): bool(each.refused) for each in found} == {
        ("type", "b"): True,
        ("unit", "a"): False,
        ("required", "a"): False,
        ("added", "new"): True,
        ("removed", "gone"): True,
        ("order", ""): False,
        ("key", ""): True,
        ("step", ""): False,
        ("format", ""): False,
    }
    assert contract_changes.changes(before, before) == ()


def test_a_newer_file_says_what_does_not_fit() -> None:
    present, newer = contract(a="x", b="x", gone="x"), contract(a="", b="", new="")
    newer.fields[0].type, newer.fields[1].type = pb.FIELD_TYPE_INTEGER, pb.FIELD_TYPE_STRING
    newer.format.encoding = "utf-8"
    assert contract_merge.notes(present, newer) == {1: ("other", "string"), 2: ("absent", "")}
    renewed = contract_merge.renewed(present, newer)
    assert [each.name for each in renewed.fields] == ["a", "b", "gone", "new"]
    assert (renewed.fields[1], renewed.format) == (present.fields[1], present.format)


def test_fields_that_take_anothers_name_do_not_take_it_along() -> None:
    """A field is left out, and another gets its name in the same go."""
    base = contract(a="x", b="y")
    base.steps.add().trim.fields.append("b")
    draft = contract_draft.drafted(base)
    form = {"base": draft.packed, "edited": "on", "f0.out": "on", "f1.key": "on", "s0.in.1": "b"}
    form |= {"f0.name": "a", "f1.name": "a", "f0.type": "number", "f1.type": "number", "f1.unit": "y"}
    sent = contract_draft.sendable(contract_draft.filled_in(form, pb.Contract()))
    assert [(each.name, each.unit) for each in sent.contract.fields] == [("a", "y")]
    assert list(sent.contract.steps[0].trim.fields) == ["a"]
    assert (list(sent.contract.key), sent.fields) == (["a"], (1,))
