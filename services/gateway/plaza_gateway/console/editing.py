"""A form that several people may have open at once: what one of them changed, and what became of it meanwhile; pure.

The form carries the texts that it was opened with. Only what differs from them is sent; and when a colleague was
faster, both are put together: theirs where the person wrote nothing, and beside the person's own where both did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONFLICT = "ETAG_MISMATCH"
"""Reason of a refusal because somebody was faster."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A form as it stands, with what a colleague did to it."""

    values: Mapping[str, str]
    """By name."""
    was: Mapping[str, str]
    """What the person saw when the form was opened."""
    etag: str
    theirs: Mapping[str, str] = field(default_factory=dict)
    """What a colleague wrote where the person wrote something else."""
    meanwhile: tuple[tuple[str, str, str], ...] = ()
    """All that colleagues changed since: name, before, now."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of what the person changed."""
        return tuple(
            name for name, value in self.values.items() if plain(value) != plain(self.was.get(name, ""))
        )


def opened(values: Mapping[str, str], etag: str) -> Edited:
    """Nothing changed yet."""
    return Edited(values, values, etag)


def sent(form: Mapping[str, str], names: Iterable[str]) -> Edited:
    """As it came back. Boxes that are not ticked are not sent: they are empty."""
    names = tuple(names)
    return Edited(
        {name: form.get(name, "").strip() for name in names},
        {name: form.get(f"was.{name}", "") for name in names},
        form.get("etag", ""),
    )


def together(mine: Edited, now: Mapping[str, str], etag: str) -> Edited:
    """What was sent, over what stands there by now."""
    meanwhile = tuple(
        (name, mine.was[name], now[name]) for name in now if plain(now[name]) != plain(mine.was[name])
    )
    changed = mine.changed
    theirs = {
        name: text
        for name, _, text in meanwhile
        if name in changed and plain(text) != plain(mine.values[name])
    }
    values = {name: mine.values[name] if name in changed else now[name] for name in now}
    return Edited(values, now, etag, theirs, meanwhile)


def plain(text: str) -> str:
    """Browsers write line ends in their own way; that is no change."""
    return text.replace("\r\n", "\n").strip()
