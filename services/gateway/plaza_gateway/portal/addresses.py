"""Addresses of the portal's pages."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode, urlsplit

from plaza_design.i18n import Language

from plaza_gateway.portal.views import RowsQuery

FORMS = {"csv": "CSV", "jsonl": "JSONL", "parquet": "Parquet", "arrow": "Arrow"}
"""In which the API gives all rows of a query, and how people call them."""


def home(language: Language) -> str:
    """The front page."""
    return f"/{language.prefix}/"


def datasets(
    language: Language,
    words: str = "",
    department: str | None = None,
    page: int = 1,
    chosen: Iterable[tuple[str, str]] = (),
) -> str:
    """The search page with its words, chosen values and page; what is not given is left out."""
    asked = [("q", words), ("department", department or ""), *chosen, ("page", str(page) if page > 1 else "")]
    return _with_query(f"/{language.prefix}/datasets", asked)


def suggestions(language: Language) -> str:
    """Titles for what is being typed, as JSON."""
    return f"/{language.prefix}/suggest"


def rows(language: Language, department: str, name: str, release: int, query: RowsQuery) -> str:
    """The permanent page of one release with some of its rows: the same rows whenever it is opened."""
    asked = [
        ("filter", query.filter),
        ("columns", ",".join(query.columns)),
        ("order_by", query.order_by),
        ("page", str(query.page) if query.page > 1 else ""),
    ]
    return _with_query(dataset(language, department, name, release), asked)


def api_rows(path: str, query: RowsQuery, form: str = "") -> str:
    """The same rows from the API; all of them in a form such as `csv`, else the first page as JSON."""
    columns = [("columns", name) for name in query.columns]
    asked = [("filter", query.filter), *columns, ("orderBy", query.order_by), ("format", form)]
    return _with_query(path, asked)


def _with_query(path: str, asked: Iterable[tuple[str, str]]) -> str:
    query = urlencode([(name, value) for name, value in asked if value])
    return path + (f"?{query}" if query else "")


def dataset(language: Language, department: str, name: str, release: int | None = None) -> str:
    """A dataset's page, or the permanent page of one release."""
    path = f"/{language.prefix}/datasets/{quote(department, safe='')}/{quote(name, safe='')}"
    return path if release is None else f"{path}/releases/{release}"


def in_language(path_and_query: str, language: Language) -> str:
    """The same page in another language; pages without a language in their path lead to its front page."""
    for prefix in (known.prefix for known in Language):
        head = f"/{prefix}/"
        if path_and_query.startswith(head):
            return f"/{language.prefix}/{path_and_query.removeprefix(head)}"
    return home(language)


def same_site(target: str) -> str | None:
    """`target` when a browser would stay on this site: a path with an optional query. `None` otherwise.

    Refuses `//host`, `/\\host`, control characters and anything with a scheme (OWASP: unvalidated redirects).
    """
    if not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if len(target) > 2000 or any(ord(c) <= 32 or c == "\\" or ord(c) == 127 for c in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
