"""Addresses of the portal's pages."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from plaza_design.i18n import Language


def home(language: Language) -> str:
    """The front page."""
    return f"/{language.prefix}/"


def datasets(language: Language, words: str = "", department: str | None = None, page: int = 1) -> str:
    """The search page with its words, department and page; what is not given is left out."""
    asked = {"q": words, "department": department or "", "page": str(page) if page > 1 else ""}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"/{language.prefix}/datasets" + (f"?{query}" if query else "")


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
