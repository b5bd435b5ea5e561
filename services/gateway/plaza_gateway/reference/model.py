"""An OpenAPI document as its pages show it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

Schema = Mapping[str, Any]

_UUID = "01980000-0000-7000-8000-000000000000"
_SAMPLES = {"department": "ecology", "dataset": "air-quality", "fileName": "air-quality-r1.csv"}
_VERBS = ("get", "post", "put", "patch", "delete")
_BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minLength", "≥ {} chars"),
    ("maxLength", "≤ {} chars"),
    ("minItems", "≥ {} items"),
    ("maxItems", "≤ {} items"),
)
_LONGEST_PATTERN = 80
_DEEPEST_EXAMPLE = 4


@dataclass(frozen=True, slots=True)
class Member:
    """A parameter, or a member of a JSON object."""

    name: str
    type: str
    target: str
    """Id of the object on the page that its type is; empty for plain values."""
    text: str
    required: bool
    read_only: bool
    place: str
    """`path`, `query`, `header`; empty in a body."""
    bounds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thing:
    """A JSON object or a list of words, with a place of its own on the page."""

    id: str
    name: str
    text: str
    members: tuple[Member, ...]

    @property
    def given(self) -> bool:
        """Callers write it; what is only answered is always whole."""
        return self.id.endswith(("-Input", "-Patch")) or self.name == "body"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status."""

    status: str
    phrase: str
    text: str
    media_types: tuple[str, ...]
    headers: tuple[Member, ...]
    is_problem: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    id: str
    tag: str
    verb: str
    path: str
    summary: str
    text: str
    rpc: str
    for_everybody: bool
    deprecated: bool
    parameters: tuple[Member, ...]
    body_types: tuple[str, ...]
    body_text: str
    body: Thing | None
    answers: tuple[Answer, ...]
    answer: Thing | None
    """What a success holds."""
    things: tuple[Thing, ...]
    """Everything that body and answer refer to."""
    curl: str
    """With `{base}` for the address of the installation."""

    @property
    def headers(self) -> tuple[Member, ...]:
        """Of all answers, each once."""
        return tuple({each.name: each for answer in self.answers for each in answer.headers}.values())


@dataclass(frozen=True, slots=True)
class Service:
    """Operations that belong together."""

    tag: str
    text: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole document."""

    title: str
    version: str
    text: str
    services: tuple[Service, ...]

    def operation(self, name: str) -> Operation | None:
        """By its `operationId`."""
        return next((each for s in self.services for each in s.operations if each.id == name), None)

    def found(self, words: str) -> tuple[Service, ...]:
        """The services with the operations that hold all words, in path, name or prose."""
        wanted = words.lower().split()
        kept = []
        for service in self.services:
            hits = tuple(
                each
                for each in service.operations
                if all(
                    word in f"{each.verb} {each.path} {each.id} {service.tag} {each.text}".lower()
                    for word in wanted
                )
            )
            if hits:
                kept.append(Service(service.tag, service.text, hits))
        return tuple(kept)


def reference_of(document: Mapping[str, Any]) -> Reference:
    """The pages' view of a document as `plaza_gateway.openapi` makes it."""
    reader = _Reader(document)
    by_tag: dict[str, list[Operation]] = {}
    for path, item in document["paths"].items():
        for verb in _VERBS:
            if verb in item:
                operation = reader.operation(path, verb, item[verb])
                by_tag.setdefault(operation.tag, []).append(operation)
    prose = {each["name"]: each.get("description", "") for each in document.get("tags", ())}
    services = tuple(
        Service(tag, prose.get(tag, ""), tuple(operations)) for tag, operations in sorted(by_tag.items())
    )
    info = document["info"]
    return Reference(info["title"], info["version"], info.get("description", ""), services)


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._open_to_all = not document.get("security")

    def operation(self, path: str, verb: str, given: Schema) -> Operation:
        things: dict[str, Thing] = {}
        body = given.get("requestBody", {})
        body_schema = _json_schema(body.get("content", {}))
        answers = tuple(self._answer(status, each) for status, each in sorted(given["responses"].items()))
        success: Schema = next((r for s, r in given["responses"].items() if s.startswith("2")), {})
        answer_schema = _json_schema(self._resolved(success).get("content", {}))
        described = Operation(
            id=given["operationId"],
            tag=given["tags"][0],
            verb=verb.upper(),
            path=path,
            summary=given.get("summary", ""),
            text=given.get("description", given.get("summary", "")),
            rpc=given.get("x-plaza-rpc", ""),
            for_everybody="security" in given and (not given["security"] or {} in given["security"]),
            deprecated=given.get("deprecated", False),
            parameters=tuple(self._parameter(each) for each in given.get("parameters", ())),
            body_types=tuple(body.get("content", {})),
            body_text=body.get("description", ""),
            body=self._thing("body", body_schema, things) if body_schema else None,
            answers=answers,
            answer=self._thing("answer", answer_schema, things) if answer_schema else None,
            things=(),
            curl=self._curl(path, verb.upper(), given, body_schema),
        )
        return _with(described, tuple(sorted(things.values(), key=lambda each: each.name)))

    def _resolved(self, part: Schema) -> Schema:
        reference = part.get("$ref")
        if reference is None:
            return part
        found: Any = self._document
        for name in str(reference).removeprefix("#/").split("/"):
            found = found[name]
        return {**found, **{key: value for key, value in part.items() if key != "$ref"}}

    def _parameter(self, given: Schema) -> Member:
        schema = given.get("schema", {})
        return self._member(
            given["name"], schema, given.get("required", False), given.get("description"), given["in"]
        )

    def _answer(self, status: str, given: Schema) -> Answer:
        found = self._resolved(given)
        types = tuple(found.get("content", {}))
        headers = tuple(
            self._member(name, each.get("schema", {}), False, each.get("description"), "header")
            for name, each in found.get("headers", {}).items()
        )
        phrase = HTTPStatus(int(status)).phrase if status.isdigit() else ""
        problem = "application/problem+json" in types
        return Answer(status, phrase, found.get("description", ""), types, headers, problem)

    def _member(
        self, name: str, schema: Schema, required: bool, text: str | None = None, place: str = ""
    ) -> Member:
        kind, target = self._type(schema)
        found = self._resolved(schema) if not target else schema
        item = found.get("items", found)
        bounds = list(_bounds(found)) + (list(_bounds(item)) if item is not found else [])
        said = text if text is not None else schema.get("description", "")
        return Member(name, kind, target, said, required, bool(schema.get("readOnly")), place, tuple(bounds))

    def _type(self, schema: Schema) -> tuple[str, str]:
        """How the type is called, and the id of its own place."""
        if "$ref" in schema:
            return _short(schema["$ref"]), _id(schema["$ref"])
        if schema.get("type") == "array":
            kind, target = self._type(schema.get("items", {}))
            return f"[{kind}]", target
        if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            kind, target = self._type(schema["additionalProperties"])
            return f"{{text: {kind}}}", target
        for several in ("anyOf", "oneOf"):
            if several in schema:
                parts = [self._type(each) for each in schema[several]]
                names = list(dict.fromkeys(kind for kind, _ in parts))
                return " | ".join(names), next((target for _, target in parts if target), "")
        if "const" in schema:
            return json.dumps(schema["const"], ensure_ascii=False), ""
        kind = str(schema.get("type", "enum" if "enum" in schema else "any"))
        return f"{kind} ({schema['format']})" if "format" in schema else kind, ""

    def _thing(self, name: str, schema: Schema, things: dict[str, Thing]) -> Thing:
        """The object itself; what it refers to is added to `things`."""
        found = self._resolved(schema)
        required = set(found.get("required", ()))
        properties = found.get("properties", {})
        members = tuple(self._member(each, given, each in required) for each, given in properties.items())
        for reference in _references(list(properties.values()) if properties else schema):
            if _id(reference) not in things:
                things[_id(reference)] = Thing(_id(reference), _short(reference), "", ())
                things[_id(reference)] = self._thing(_short(reference), {"$ref": reference}, things)
        title = _short(schema["$ref"]) if "$ref" in schema else name
        key = _id(schema["$ref"]) if "$ref" in schema else name
        return Thing(key, title, found.get("description", ""), members)

    def _curl(self, path: str, verb: str, given: Schema, body: Schema | None) -> str:
        parameters = given.get("parameters", ())
        where = path
        for each in parameters:
            if each["in"] == "path":
                where = where.replace(f"{{{each['name']}}}", _sample(each["name"], each.get("schema", {})))
        query = [
            f"{each['name']}={quote(_sample(each['name'], self._resolved(each.get('schema', {}))))}"
            for each in parameters
            if each["in"] == "query" and each.get("required")
        ]
        words = ["curl"]
        if verb != "GET":
            words += ["-X", verb]
        words.append(shlex.quote("{base}" + where + (f"?{'&'.join(query)}" if query else "")))
        lines = [" ".join(words)]
        if not ("security" in given and {} in given["security"]) and given.get("security") != []:
            lines.append('-H "Authorization: Bearer $TOKEN"')
        types = tuple(given.get("requestBody", {}).get("content", {}))
        if body is not None:
            example = json.dumps(self._example(body, 0), ensure_ascii=False)
            lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(example)}"]
        elif types:
            lines += [f"-H 'Content-Type: {types[0]}'", "--data-binary @FILE"]
        elif not _answers_json(given):
            lines.append("-O -J")
        return " \\\n  ".join(lines)

    def _example(self, schema: Schema, depth: int) -> Any:
        found = self._resolved(schema)
        if found.get("properties") and depth < _DEEPEST_EXAMPLE:
            wanted = found.get("required") or list(found["properties"])[:2]
            return {
                name: self._example(found["properties"][name], depth + 1)
                for name in wanted
                if name in found["properties"] and not found["properties"][name].get("readOnly")
            }
        if found.get("type") == "array":
            return [self._example(found.get("items", {}), depth + 1)] if found.get("minItems") else []
        if found.get("type") == "object":
            return {}
        if "anyOf" in found:
            return self._example(found["anyOf"][-1], depth)
        return _plain_example(found)


def _with(operation: Operation, things: tuple[Thing, ...]) -> Operation:
    values = {name: getattr(operation, name) for name in Operation.__slots__}
    # Body and answer stand at their own headings.
    own = {each.id for each in (operation.body, operation.answer) if each is not None}
    return Operation(**{**values, "things": tuple(each for each in things if each.id not in own)})


def _json_schema(content: Schema) -> Schema | None:
    found: Schema | None = content.get("application/json", {}).get("schema")
    if found is None:
        # A stream: one object a line.
        found = next((each["x-item-schema"] for each in content.values() if "x-item-schema" in each), None)
    return found


def _answers_json(given: Schema) -> bool:
    content = given["responses"].get("200", {}).get("content", {})
    return not content or "application/json" in content or any("x-item-schema" in c for c in content.values())


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield part["$ref"]
        for each in part.values():
            yield from _references(each)
    elif isinstance(part, list):
        for each in part:
            yield from _references(each)


def _id(reference: str) -> str:
    return "t-" + reference.rpartition("/")[2].replace(".", "-")


def _short(reference: str) -> str:
    """`plaza.catalogue.v1.Dataset-Input` → `Dataset`."""
    return reference.rpartition("/")[2].rpartition(".")[2].removesuffix("-Input").removesuffix("-Patch")


def _bounds(schema: Schema) -> Iterator[str]:
    whole_numbers = {-(2**31), 2**31 - 1}
    for key, words in _BOUNDS:
        if key in schema and schema[key] not in whole_numbers:
            yield words.format(schema[key])
    if "default" in schema:
        yield f"= {schema['default']}"
    if "enum" in schema and "description" not in schema:
        yield " · ".join(str(each) for each in schema["enum"])
    pattern = schema.get("pattern", "")
    if pattern and len(pattern) <= _LONGEST_PATTERN and schema.get("format") not in ("int64", "uint64"):
        yield pattern


def _sample(name: str, schema: Schema) -> str:
    if name in _SAMPLES:
        return _SAMPLES[name]
    if "[0-9a-f-]{36}" in schema.get("pattern", ""):
        return _UUID
    if schema.get("type") == "integer" or name in ("version", "release"):
        return "1"
    if schema.get("enum"):
        return str(schema["enum"][0])
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _plain_example(schema: Schema) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        # The first of our enums is the one that says nothing.
        return schema["enum"][1 if len(schema["enum"]) > 1 and "UNSPECIFIED" in str(schema["enum"][0]) else 0]
    match schema.get("type"):
        case "boolean":
            return True
        case "integer" | "number":
            return max(schema.get("minimum", 0), 0)
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    if schema.get("format") == "int64":
        return "1"
    return _UUID if schema.get("format") == "uuid" or "{36}" in schema.get("pattern", "") else "…"
