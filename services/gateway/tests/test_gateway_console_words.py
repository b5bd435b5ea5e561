"""Every visible word of the console comes from a catalogue, in both languages, and none lies there unused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import plaza_gateway.console
import pytest
from jinja2 import Environment, nodes
from plaza_design.i18n import LOCALES, Language, load_translators
from plaza_gateway.console import (
    archive_pages,
    because,
    contract_changes,
    contract_form,
    loading,
    pages,
    schedules,
    sources_form,
    sources_view,
    standards_form,
    standards_view,
    steps_form,
    tasks,
    views,
)
from plaza_gateway.console.quality_rules import FORMS, KINDS
from plaza_gateway.console.quality_view import DIMENSIONS, DIRECTIONS
from plaza_gateway.console.quality_view import STATES as ORDER_STATES
from plaza_gateway.console.quarantine_view import STATES

CONSOLE = Path(plaza_gateway.console.__file__).parent
SHEETS = sorted((CONSOLE / "templates").glob("*.html"))
DESIGN = set(load_translators([LOCALES])[Language.EN].messages)
ALLOWED = {
    "GB",
    "T",
    "X",
    "A",
    "B",
    "PDF",
    "HTML",
    "English",
    "中文",
    "plaza",
    "rows",
    "version",
    "where",
    "verdict",
    "verdicts",
    "as-of",
    "fail",
    "null",
    "UTC+8",
    "SHA-256",
    "head__in--console",
    "aria-describedby",
}
"""The same in every language; the last two are mark-up."""
RUN_STATES = ("queued", "leased", "running", "committing", "succeeded", "failed", "cancelled")
RELEASE_STATES = ("approved", "published", "superseded", "withdrawn", "failed")

# ids that are put together: prefix and everything that can follow
COMPOSED = {
    "cycle.": contract_form.CYCLES,
    "type.": contract_form.TYPES,
    "step.": [
        *(f"{kind}{end}" for kind in steps_form.KINDS for end in ("", ".why")),
        *(f"phase.{phase}" for phase in set(steps_form.PHASES.values())),
        *(f"field.{kind}" for kind in ("map_codes", "parse_time", "convert_unit", "keep_latest")),
        *(f"otherwise.{word}" for word in steps_form.UNMAPPED),
        *("from_unit", "to_unit", "factor", "offset", "divisor"),
        *("year", "month", "day", "hour", "minute", "second"),
    ],
    "step.phase.": set(steps_form.PHASES.values()),
    "step.field.": ("map_codes", "parse_time", "convert_unit", "keep_latest"),
    "change.": [f"{meaning}{end}" for meaning in contract_changes.MEANINGS for end in ("", ".means")],
    "format.": contract_changes.FORMAT,
    "sharing.": contract_form.SHARING,
    "design.light.": get_args(views.Light),
    "design.grade.": contract_form.GRADES,
    "role.": ("data-officer", "steward", "reader", "city-administrator", "auditor"),
    "reason.": pages.REASONS,
    "gate.": [f"{gate}{end}" for gate in pages.GATES for end in ("", ".way")],
    "archive.choose.": get_args(archive_pages.What),
    "archive.submit.": get_args(archive_pages.What),
    "complaint.": (
        "entry",
        *pages.OWN_COMPLAINTS,
        *sources_form.OWN_COMPLAINTS,
        *standards_form.OWN_COMPLAINTS,
        "columns",
        "nothing",
        "pick",
        "main",
        "document",
        "name",
        "codes",
    ),
    "inbox.group.": ("red", "yellow", "none"),
    "task.": [
        f"{kind}{end}"
        for kind in get_args(tasks.Kind)
        for end in ("", ".title", ".way", *([] if kind == "quality" else [".mark"]))
    ],
    "run.state.": RUN_STATES,
    "run.cancel.": ("infer", "load"),
    "load.mode.": [f"{mode}{end}" for mode in loading.MODES for end in ("", ".text")],
    "quarantine.state.": STATES,
    "quarantine.heading.": STATES[1:],
    "field.of.": pages.FIELDS,
    "run.title.": ("infer", "load", "done", "nothing", "failed", "cancelled"),
    "release.state.": RELEASE_STATES,
    "because.": because.KNOWN,
    "class.": sources_view.CLASSES,
    "source.state.": sources_view.STATES,
    "source.kind.": get_args(sources_form.Way),
    "source.address.": get_args(sources_form.Way),
    "source.new.where.": get_args(sources_form.Way),
    "source.edit.again.": get_args(sources_form.Way),
    "tls.": sources_view.TLS,
    "rhythm.": schedules.EVERY,
    "system.": ("active", "retired"),
    "system.field.": standards_view.SYSTEM_FIELDS,
    "code.": ("code", *standards_view.COMPARED),
    "codes.change.": get_args(standards_view.Change),
    "dimension.": DIMENSIONS,
    "rule.kind.": KINDS,
    "rule.form.": FORMS,
    "rule.unit.": ("hours", "rows", "psi"),
    "rule.severity.": ("major", "severe"),
    "rule.stops.": ("sharing", "opening"),
    "indicator.": DIRECTIONS,
    "order.state.": ORDER_STATES,
    "orders.": ("mine.only", "late.only"),
    "message.": [
        f"{kind}{end}" for kind in (*pages.PROBLEMS, 500, "out", "over", "homeless") for end in ("", ".way")
    ],
}


def _said_by_templates() -> set[str]:
    keys: set[str] = set()
    for path in SHEETS:
        for call in Environment(autoescape=True).parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                first = call.args[0]
                if isinstance(first, nodes.Const):
                    keys.add(first.value)
                elif isinstance(first, nodes.Concat):
                    prefix = first.nodes[0]
                    known = isinstance(prefix, nodes.Const) and prefix.value in COMPOSED
                    # A macro that is given its prefix: `t(words ~ option)`.
                    assert known or isinstance(prefix, nodes.Name), ast_of(first)
    return keys


def ast_of(node: nodes.Node) -> str:
    return f"{node} at line {node.lineno}"


def _said_by_code() -> set[str]:
    code = (CONSOLE / "pages.py").read_text(encoding="utf-8")
    return set(re.findall(r'words\.text\(\s*"([\w.]+)"', code))


def test_both_languages_have_exactly_the_words_that_are_used() -> None:
    composed = {f"{prefix}{end}" for prefix, ends in COMPOSED.items() for end in ends}
    used = _said_by_templates() | _said_by_code() | composed
    for language in Language:
        known = set(pages.translators()[language].messages)
        assert used - known == set(), language
        assert known - DESIGN - used == set(), language


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_templates_hold_no_words_of_their_own(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(encoding="utf-8"), flags=re.S)
    attributes = re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]+)"', source)
    text = re.sub(r"<[^>]*>", " ", source)
    words = {word for word in re.findall(r"[^\W\d_][\w+-]*", text) if word not in ALLOWED}
    assert words == set()
    assert [a for a in attributes if a.strip()] == []


@pytest.mark.parametrize("language", list(Language))
def test_both_languages_fill_in_the_same_values(language: Language) -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    other = pages.translators()[language.other].messages
    for key, forms in pages.translators()[language].messages.items():
        for form in forms:
            theirs = set().union(*(names(text) for text in other[key]))
            assert names(form) - {"n"} == theirs - {"n"}, key


def test_english_is_english_and_chinese_is_chinese() -> None:
    words = pages.translators()
    for key, forms in words[Language.EN].messages.items():
        assert not re.search(r"[\u4e00-\u9fff！？。，]", "".join(forms)), key
        assert "!" not in "".join(forms), key
    for key, forms in words[Language.ZH].messages.items():
        text = re.sub(r"\{\w+\}", "", "".join(forms))
        assert "！" not in text, key
        assert not re.search("进行|予以提供|相关|点击此处", text), key
