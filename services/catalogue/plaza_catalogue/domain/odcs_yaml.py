"""The YAML that contracts are written in: plain data only, no aliases, no dates by accident, stable bytes."""

from __future__ import annotations

from typing import Any

import yaml
from plaza_kit.errors import InvalidArgument

_BREAKS = "\n\r\x85\u2028\u2029"
_TIMESTAMP_TAG = "tag:yaml.org,2002:timestamp"


class BadDocument(InvalidArgument):
    """The document is not a contract that can be read; the message names the place."""


class _Loader(yaml.SafeLoader):
    """Safe loading without aliases (a few lines could grow to gigabytes), with unique keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} occurs twice", key.start_mark
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


# `2024-01-01` in a title is text; ODCS has no field in which we want a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP_TAG]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Every list and map in full, so that a line always means the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # YAML folds and normalises line breaks, also U+0085 and U+2028, in every style but this one.
    style = '"' if any(mark in value for mark in _BREAKS) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def load(document: str) -> dict[str, Any]:
    """The document's top-level map. Raises BadDocument with line and column."""
    try:
        data = yaml.load(document, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the document"
        raise _bad(f"{place}: {error.problem or 'is not YAML'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(f"the document is not YAML: {type(error).__name__}") from None
    if not isinstance(data, dict):
        raise _bad("the document must be a map with apiVersion, kind and schema")
    return {str(key): value for key, value in data.items()}


def dump(data: dict[str, Any]) -> str:
    """The same data always give the same bytes."""
    return str(
        yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**31, line_break="\n")
    )


def _bad(message: str) -> BadDocument:
    return BadDocument(message, remedy="send an Open Data Contract Standard 3.1 document in YAML")
