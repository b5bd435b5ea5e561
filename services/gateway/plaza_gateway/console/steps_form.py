"""The declared steps of a contract as a form: what each is made of, as texts, and the texts as steps again; pure.

What a text stands for and was not touched stays to the letter: a step is never bent by being looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plaza.common.v1 import contract_pb2 as pb

from plaza_gateway.transcode.problems import Complaint

SEPARATOR = "|"
"""Between texts that mean "missing"; a text that has it is kept as long as nobody touches the list."""
KINDS = (
    "trim",
    "map_missing",
    "map_codes",
    "parse_time",
    "convert_unit",
    "build_timestamp",
    "build_key",
    "keep_latest",
)
PHASES: Mapping[str, str] = {
    "trim": "texts",
    "map_missing": "texts",
    "map_codes": "texts",
    "parse_time": "types",
    "convert_unit": "values",
    "build_timestamp": "values",
    "build_key": "values",
    "keep_latest": "load",
}
"""When a step is done, whatever its place in the list (ADR 17)."""
UNMAPPED = ("refuse", "keep")
MOST_STEPS = 100
MOST_PARTS = 16
_LISTS = ("fields", "parts")
_TEXTS = ("codes", "formats")
"""Written in several lines."""
_JOINED = {"tokens": SEPARATOR, "formats": "\n"}
_NUMERIC = ("integer", "number")
_TIMES = ("date", "timestamp")
_FITTING: Mapping[tuple[str, str], Sequence[str]] = {
    ("parse_time", "field"): _TIMES,
    ("convert_unit", "field"): _NUMERIC,
    ("build_timestamp", "target"): ("timestamp",),
    ("build_key", "target"): ("string",),
    ("build_key", "parts"): ("string", "integer", "boolean", *_TIMES),
    ("keep_latest", "field"): (*_NUMERIC, *_TIMES),
    **{
        ("build_timestamp", part): ("integer",)
        for part in ("year", "month", "day", "hour", "minute", "second")
    },
}


@dataclass(frozen=True, slots=True)
class StepDraft:
    """A step as it stands in the form."""

    step: pb.Step
    """As far as the texts can be understood."""
    kind: str
    name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """Fields that are ticked, or parts in their order."""
    unread: tuple[int, ...] = ()
    """Lines of the list of codes that say nothing; from 1."""

    @property
    def phase(self) -> str:
        return PHASES[self.kind]


def drafted(step: pb.Step) -> StepDraft:
    """A step of a contract as texts."""
    kind = step.WhichOneof("kind") or KINDS[0]
    message = getattr(step, kind)
    texts, names = {}, ()
    for each in message.DESCRIPTOR.fields:
        value = getattr(message, each.name)
        if each.name in _LISTS:
            names = tuple(value)
        elif each.name in _JOINED:
            texts[each.name] = _JOINED[each.name].join(value)
        elif each.name == "codes":
            texts["codes"] = "\n".join(map(_line, value))
        elif each.name == "otherwise":
            texts["otherwise"] = UNMAPPED[value == pb.UNMAPPED_TEXT_KEEP]
        else:
            texts[each.name] = value
    return StepDraft(step, kind, step.name, texts, names)


def made(kind: str) -> pb.Step:
    """A new step of a kind in KINDS, with nothing in it yet."""
    step = pb.Step()
    getattr(step, kind).SetInParent()
    return step


def filled_in(form: Mapping[str, str], number: int, before: pb.Step) -> StepDraft:
    """What a person made of the step with this number."""
    at = f"s{number}."
    shown = drafted(before)
    name = form.get(f"{at}name", before.name)
    step = pb.Step(name=before.name if untouched(name, before.name) else name.strip())
    message = getattr(step, shown.kind)
    message.CopyFrom(getattr(before, shown.kind))
    # Also a step without a single value is one.
    message.SetInParent()
    unread: tuple[int, ...] = ()
    for name, old in shown.texts.items():
        text = form.get(f"{at}{name}", old)
        if untouched(text, old, lines=name in _TEXTS):
            continue
        if name in _JOINED:
            getattr(message, name)[:] = _split(_plain(text), _JOINED[name])
        elif name == "codes":
            unread = _put_codes(message, _plain(text))
        elif name == "otherwise":
            message.otherwise = pb.UNMAPPED_TEXT_KEEP if text == UNMAPPED[1] else pb.UNMAPPED_TEXT_REFUSE
        else:
            setattr(message, name, text.strip() if name != "separator" else text)
    known = set(message.DESCRIPTOR.fields_by_name)
    if "fields" in known:
        message.fields[:] = [value for key, value in form.items() if key.startswith(f"{at}in.")]
    elif "parts" in known:
        chosen = (form.get(f"{at}parts.{place}", "") for place in range(MOST_PARTS + 2))
        message.parts[:] = list(dict.fromkeys(name for name in chosen if name))
    draft = drafted(step)
    if not unread:
        return draft
    texts = {**draft.texts, "codes": _plain(form[f"{at}codes"])}
    return StepDraft(step, draft.kind, draft.name, texts, draft.names, unread)


def untouched(sent: str, old: str, *, lines: bool = False) -> bool:
    """Is it what stood there? Browsers write the ends of `lines` in their own way, and none into an input of one."""
    one, other = _plain(sent), _plain(old)
    return one == other if lines else one.replace("\n", "") == other.replace("\n", "")


def unread_lines(steps: Sequence[StepDraft]) -> list[Complaint]:
    """Where lists of codes hold lines that say nothing."""
    return [
        Complaint("body", f"s{number}.codes", ", ".join(map(str, each.unread)))
        for number, each in enumerate(steps)
        if each.unread
    ]


def place_of(number: int, rest: str) -> str:
    """The id in the form of a place inside a step: `map_codes.codes[3].text` → `s2.codes`."""
    param, _, inner = rest.partition(".")[2].partition("[")
    if param == "parts" and inner:
        return f"s{number}.parts.{inner.partition(']')[0]}"
    param = param.partition(".")[0]
    known = param or ("name" if rest == "name" else "")
    return f"s{number}.{known}" if known and known != "fields" else f"s{number}"


def choices(fields: Sequence[Any], kind: str, param: str) -> tuple[list[str], list[str]]:
    """Names of the fields that fit a place of a step, and the others: what is wrong the catalogue says."""
    fitting = _FITTING.get((kind, param))
    named = [each for each in fields if each.name and not each.left_out]
    good = [
        each.name
        for each in named
        if (fitting is None or each.type in fitting) and not (param == "target" and each.source)
    ]
    return good, [each.name for each in named if each.name not in good]


def _put_codes(message: pb.MapCodes, text: str) -> tuple[int, ...]:
    """Lines `text = code`, or with a tab between as spreadsheets copy them. Numbers of the lines that are neither."""
    unread = []
    del message.codes[:]
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        sign = "\t" if "\t" in line else "="
        left, found, right = line.partition(sign)
        if sign == "=":
            left, right = left.strip(), right.strip()
        if found and left:
            message.codes.add(text=left, code=right)
        else:
            unread.append(number)
    return tuple(unread)


def _line(pair: pb.CodeMapping) -> str:
    plain = "=" not in pair.text and all(each == each.strip() for each in (pair.text, pair.code))
    return f"{pair.text} = {pair.code}".rstrip() if plain else f"{pair.text}\t{pair.code}"


def _split(text: str, separator: str) -> list[str]:
    return list(
        dict.fromkeys(
            each for each in text.split(separator) if each.strip() or (separator == SEPARATOR and each)
        )
    )


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
