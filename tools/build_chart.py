"""What follows from VERSION and the values.yaml of both charts: the schema, the README's table, images.txt, Chart.yaml.

`python tools/build_chart.py` writes them; with `--check` nothing is written and the exit code says whether they differ.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from images_list import IMAGES

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "plaza"
DEV_CHART = ROOT / "charts" / "plaza-dev"
_BEGIN, _END = "<!-- values: begin -->", "<!-- values: end -->"
_DIRECTIVE = re.compile(r"@(type|enum|pattern|min|items|free|same)\b ?(.*)")


class Undocumented(Exception):
    """A key of values.yaml has no comment, or one that the schema cannot be made of."""


@dataclass(frozen=True, slots=True)
class Value:
    """One key of values.yaml."""

    path: tuple[str, ...]
    default: Any
    text: str
    words: dict[str, str]
    """What stands behind an @, by its word."""
    inner: list[Value] = field(default_factory=list)


def values_of(text: str) -> list[Value]:
    """The keys of values.yaml with their comments. Raises Undocumented."""
    lines = text.splitlines()
    node = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return list(_values(node, yaml.safe_load(text), lines, ()))


def _values(
    node: yaml.MappingNode, loaded: dict[str, Any], lines: list[str], above: tuple[str, ...]
) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        text, words = _comment(lines, key.start_mark.line)
        default = loaded[key.value]
        opaque = "free" in words or "same" in words
        inner: list[Value] = []
        if isinstance(value, yaml.MappingNode) and not opaque:
            inner = list(_values(value, default, lines, path))
        elif not text:
            raise Undocumented(f"values.yaml: {'.'.join(path)} has no comment")
        yield Value(path, default, text, words, inner)


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, str]]:
    found: list[str] = []
    for text in reversed(lines[:line]):
        bare = text.strip()
        if not bare.startswith("#"):
            break
        found.insert(0, bare.removeprefix("#").strip())
    words: dict[str, str] = {}
    prose = []
    for text in found:
        if said := _DIRECTIVE.fullmatch(text):
            words[said[1]] = said[2]
        else:
            prose.append(text)
    return " ".join(prose), words


def schema_of(values: list[Value]) -> dict[str, Any]:
    """JSON Schema (draft-07, as Helm reads it) of all values; unknown keys are refused."""
    known = {value.path: value for value in _all(values)}
    body = _object(values, known)
    # Helm adds these two by itself.
    body["properties"] |= {"global": {"type": "object"}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart plaza",
        **body,
    }


def _all(values: list[Value]) -> Iterator[Value]:
    for value in values:
        yield value
        yield from _all(value.inner)


def _object(values: list[Value], known: dict[tuple[str, ...], Value]) -> dict[str, Any]:
    properties = {value.path[-1]: _property(value, known) for value in values}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(value: Value, known: dict[tuple[str, ...], Value]) -> dict[str, Any]:
    about = {"description": value.text} if value.text else {}
    words = value.words
    if "same" in words:
        return {**_object(known[tuple(words["same"].split("."))].inner, known), **about}
    if "free" in words:
        return {"type": "object", **about}
    if value.inner:
        return {**_object(value.inner, known), **about}
    found: dict[str, Any] = {"type": _type(value), **about}
    if "enum" in words:
        found["enum"] = [word.strip() for word in words["enum"].split(",")]
    if "pattern" in words:
        found["pattern"] = words["pattern"]
    if "min" in words:
        found["minimum"] = int(words["min"])
    if found["type"] == "array":
        found["items"] = {"type": words["items"]}
    return found


def _type(value: Value) -> str:
    names = {bool: "boolean", int: "integer", str: "string", list: "array"}
    kind = names.get(type(value.default))
    if kind is None or (kind == "array" and "items" not in value.words):
        raise Undocumented(f"values.yaml: {'.'.join(value.path)} needs @free, @same or @items")
    return kind


def table_of(values: list[Value]) -> str:
    """A Markdown table of all keys that have a default of their own."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for value in _all(values):
        if value.inner:
            continue
        default = json.dumps(value.default, ensure_ascii=False)
        notes = [value.text]
        if "enum" in value.words:
            notes.append(f"One of: {value.words['enum']}.")
        if "same" in value.words:
            notes.append(f"Keys as in `{value.words['same']}`.")
            default = default if len(default) < 60 and "type" not in value.default else ""
        cells = (f"`{'.'.join(value.path)}`", f"`{default}`" if default else "", " ".join(notes))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def chart_version(version: str) -> str:
    """Our version (PEP 440) as SemVer 2, which Helm demands: `0.1.0.dev0` → `0.1.0-dev0`."""
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?:\.?((?:dev|a|b|rc)\d+))?", version)
    if found is None:
        raise ValueError(f"VERSION {version!r} has no form in SemVer 2")
    return found[1] + (f"-{found[2]}" if found[2] else "")


def outputs() -> dict[Path, str]:
    """All files that follow, with the content that they must have."""
    version = (ROOT / "VERSION").read_text().strip()
    images = "".join(f"plaza/{name}:{version}\n" for name in sorted(IMAGES))
    return _following(CHART, version) | _following(DEV_CHART, version) | {CHART / "images.txt": images}


def _following(chart: Path, version: str) -> dict[Path, str]:
    values = values_of((chart / "values.yaml").read_text(encoding="utf-8"))
    readme = (chart / "README.md").read_text(encoding="utf-8")
    before, rest = readme.split(_BEGIN)
    after = rest.split(_END)[1]
    about = (chart / "Chart.yaml").read_text(encoding="utf-8")
    about = re.sub(r"(?m)^version: .*$", f"version: {chart_version(version)}", about)
    about = re.sub(r"(?m)^appVersion: .*$", f'appVersion: "{version}"', about)
    schema = schema_of(values) | {"title": f"Values of the chart {chart.name}"}
    return {
        chart / "values.schema.json": json.dumps(schema, ensure_ascii=False, indent=2) + "\n",
        chart / "README.md": f"{before}{_BEGIN}\n{table_of(values)}\n{_END}{after}",
        chart / "Chart.yaml": about,
    }


def main() -> int:
    """1 when `--check` finds a difference."""
    check = sys.argv[1:] == ["--check"]
    stale = {
        path: text
        for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)} {'is stale: run tools/build_chart.py' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
