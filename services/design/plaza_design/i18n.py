"""Two languages, said by two message catalogues (gettext `.po`, read at start-up by Babel).

Message ids are symbolic (`dataset.rows`): Chinese and English say the same facts, but neither is the
translation of the other. A message that is missing in a language is an error, never an id on a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from gettext import c2py
from pathlib import Path

from babel.messages.pofile import read_po
from markupsafe import Markup, escape

from plaza_design.formats import number

LOCALES: Path = Path(__file__).resolve().parent / "locales"
"""Catalogues of the words in the shared templates."""


class Language(StrEnum):
    """A language of the pages, as BCP 47 writes it."""

    ZH = "zh-CN"
    EN = "en"

    @property
    def prefix(self) -> str:
        """First segment of a page's path: `zh` or `en`."""
        return "zh" if self is Language.ZH else "en"

    @property
    def other(self) -> Language:
        """The one that the switch leads to."""
        return Language.EN if self is Language.ZH else Language.ZH

    @property
    def own_name(self) -> str:
        """What its speakers call it; never translated."""
        return "中文" if self is Language.ZH else "English"


@dataclass(frozen=True, slots=True)
class Said:
    """A text together with the language it is really in, so that the page can mark a fallback (`lang=`)."""

    text: str
    language: Language


@dataclass(frozen=True, slots=True)
class LocalText:
    """Words from the catalogue in Chinese and, where somebody wrote it, English."""

    zh: str
    en: str = ""

    def said(self, language: Language) -> Said:
        """The text in `language`, or in the other one when nobody wrote it."""
        wanted = self.zh if language is Language.ZH else self.en
        if wanted:
            return Said(wanted, language)
        return Said(self.en if language is Language.ZH else self.zh, language.other)

    def __bool__(self) -> bool:
        return bool(self.zh or self.en)


NO_TEXT = LocalText("")
"""Nobody wrote anything, in no language."""


class MissingMessageError(LookupError):
    """A page uses a message id that the catalogue of its language does not have."""

    def __init__(self, key: str, language: Language) -> None:
        super().__init__(f"no message {key!r} in the {language} catalogue")
        self.key = key


class CatalogueError(ValueError):
    """A catalogue cannot be used: an id twice, a fuzzy or empty message."""


@dataclass(frozen=True, slots=True)
class Translator:
    """Says messages in one language."""

    language: Language
    messages: Mapping[str, tuple[str, ...]]
    """Forms by message id: one, or one for each plural form of the language."""
    plural_form: Callable[[int], int]
    """Index of the form for a count."""

    def knows(self, key: str) -> bool:
        """Whether the catalogue has the message."""
        return key in self.messages

    def pattern(self, key: str, n: int | None = None) -> str:
        """The message's text before values are filled in. Raises `MissingMessageError`."""
        forms = self.messages.get(key)
        if forms is None:
            raise MissingMessageError(key, self.language)
        return forms[0] if n is None or len(forms) == 1 else forms[self.plural_form(n)]

    def text(self, key: str, n: int | None = None, **values: object) -> str:
        """The message as plain text; `n` chooses the plural form and is written as a number at `{n}`."""
        if n is not None:
            values["n"] = number(n)
        return self.pattern(key, n).format(**values)

    def markup(self, key: str, n: int | None = None, **values: object) -> Markup:
        """The message as HTML: the message and its values are escaped, values that are `Markup` stay."""
        if n is not None:
            values["n"] = number(n)
        return escape(self.pattern(key, n)).format(**values)


def load_translators(directories: Iterable[Path]) -> dict[Language, Translator]:
    """Reads `<language>.po` of each directory into one translator per language.

    Raises `CatalogueError` when an id occurs in two directories or a message is fuzzy or empty.
    """
    places = tuple(directories)
    return {language: _load(language, places) for language in Language}


def _load(language: Language, directories: tuple[Path, ...]) -> Translator:
    messages: dict[str, tuple[str, ...]] = {}
    plural = "n != 1" if language is Language.EN else "0"
    for directory in directories:
        path = directory / f"{language}.po"
        with path.open("rb") as file:
            catalogue = read_po(file, locale=str(language).replace("-", "_"), abort_invalid=True)
        for message in catalogue:
            if not message.id:
                continue
            key = message.id if isinstance(message.id, str) else message.id[0]
            forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
            if key in messages:
                raise CatalogueError(f"{path}: message {key!r} is already defined")
            if message.fuzzy or not forms or not all(forms):
                raise CatalogueError(f"{path}: message {key!r} is fuzzy or empty")
            messages[key] = forms
    return Translator(language, messages, c2py(plural))


def negotiate(accept_language: str | None, chosen: str | None = None) -> Language:
    """The language for somebody who named none in the address.

    `chosen` is the value of the `lang` cookie and wins; then `Accept-Language` (RFC 9110, 12.5.4) by its
    weights; Chinese when neither helps. Malformed parts are passed over.
    """
    if chosen in (Language.ZH, Language.EN):
        return Language(chosen)
    best, best_weight = Language.ZH, 0.0
    for part in (accept_language or "").split(","):
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().split("-")[0]
        if primary not in ("zh", "en"):
            continue
        weight = _weight(parameters)
        if weight > best_weight:
            best, best_weight = (Language.ZH if primary == "zh" else Language.EN), weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
