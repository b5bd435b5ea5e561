"""Files of charts/plaza that follow from others: no helm is needed for these."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "plaza"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import build_chart

    return build_chart


def test_schema_table_images_and_versions_are_those_of_the_values() -> None:
    command = [sys.executable, str(ROOT / "tools" / "build_chart.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_comment_becomes_schema_and_table(tool) -> None:  # type: ignore[no-untyped-def]
    values = tool.values_of(
        "# Words of the\n# first.\n# @enum a, b\nfirst: a\ngroup:\n  # @min 1\n  # How many.\n  many: 2\n"
        "# @same group\n# Again.\nagain: {}\n"
    )
    schema = tool.schema_of(values)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["first"] == {
        "type": "string",
        "description": "Words of the first.",
        "enum": ["a", "b"],
    }
    many = {"type": "integer", "description": "How many.", "minimum": 1}
    assert schema["properties"]["again"]["properties"] == {"many": many}
    assert "| `group.many` | `2` | How many. |" in tool.table_of(values)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("bare: 1\n", "bare has no comment"), ("# List.\nlist: []\n", "list needs @free, @same or @items")],
)
def test_a_value_without_words_is_refused(tool, text: str, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(tool.Undocumented, match=problem):
        tool.schema_of(tool.values_of(text))


@pytest.mark.parametrize(
    ("ours", "theirs"), [("0.1.0.dev0", "0.1.0-dev0"), ("1.2.3", "1.2.3"), ("1.2.3rc1", "1.2.3-rc1")]
)
def test_versions_in_two_spellings(tool, ours: str, theirs: str) -> None:  # type: ignore[no-untyped-def]
    assert tool.chart_version(ours) == theirs
