"""Two people in one form: nobody's words are lost, and nobody overwrites what was not seen."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.console import editing
from plaza_gateway.console.editing import plain

NAMES = ("title", "owner", "note")
texts = st.fixed_dictionaries(
    dict.fromkeys(NAMES, st.sampled_from(["", "a", "b", "line\nline", "line\r\nline"]))
)


def form_of(values: Mapping[str, str], was: Mapping[str, str]) -> dict[str, str]:
    return {**values, **{f"was.{name}": text for name, text in was.items()}, "etag": "e1"}


@given(texts, texts, texts)
def test_both_peoples_changes_are_there(
    was: dict[str, str], wanted: dict[str, str], now: dict[str, str]
) -> None:
    mine = editing.sent(form_of(wanted, was), NAMES)
    both = editing.together(mine, now, "e2")
    assert (both.etag, dict(both.was)) == ("e2", now)
    for name in NAMES:
        i_changed, they_changed = (
            plain(wanted[name]) != plain(was[name]),
            plain(now[name]) != plain(was[name]),
        )
        assert (name in mine.changed) == i_changed
        assert plain(both.values[name]) == plain(wanted[name] if i_changed else now[name])
        assert (name in {changed for changed, _, _ in both.meanwhile}) == they_changed
        collided = i_changed and they_changed and plain(wanted[name]) != plain(now[name])
        assert (name in both.theirs) == collided
        # Only what is left of my own is sent next time.
        assert (name in both.changed) == (i_changed and plain(wanted[name]) != plain(now[name]))


def test_what_stands_there_is_no_change() -> None:
    assert editing.opened(dict.fromkeys(NAMES, "a"), "e1").changed == ()
