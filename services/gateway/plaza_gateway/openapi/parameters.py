"""Path, query and header parameters of an operation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from plaza_gateway.openapi.constraints import Schema
from plaza_gateway.openapi.schemas import Schemas
from plaza_gateway.transcode import masks, partial
from plaza_gateway.transcode.plans import RequestPlan, reads_in_part
from plaza_gateway.transcode.routes import Variable
from plaza_gateway.transcode.shapes import FieldShape, MessageShape

_SLASH_OUTSIDE_BRACKETS = re.compile(r"/(?![^\[\]]*\])")


class PathNames:
    """Names for the wildcards of resource names: `departments/*` is `departments/{department}`."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        for pattern in patterns:
            parts = pattern.split("/")
            skeleton = tuple("*" if part.startswith("{") else part for part in parts)
            for index, part in enumerate(parts):
                if part.startswith("{"):
                    self._known.setdefault(skeleton[: index + 1], part.strip("{}"))

    def of(self, segments: tuple[str, ...], index: int) -> str:
        """The name of the wildcard at `index` of a variable's segments."""
        known = self._known.get(segments[: index + 1])
        return known or _singular(segments[index - 1])


def _singular(collection: str) -> str:
    for ending, single in (
        ("ies", "y"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("sses", "ss"),
        ("s", ""),
    ):
        if collection.endswith(ending):
            return collection[: -len(ending)] + single
    return f"{collection}Id"


def path_and_parameters(plan: RequestPlan, names: PathNames, schemas: Schemas) -> tuple[str, list[Schema]]:
    """The OpenAPI path of a route, each wildcard a parameter of its own, and these parameters."""
    template = plan.route.template
    segments = list(template.segments)
    parameters: list[Schema] = []
    taken: set[str] = set()
    for variable in template.variables:
        covered = template.segments[variable.start : variable.stop]
        field = plan.bound[variable.field][-1]
        patterns = _segment_patterns(field, covered)
        for offset, segment in enumerate(covered):
            if segment not in ("*", "**"):
                continue
            alone = len(covered) == 1
            name = _unique(field.json_name if alone else names.of(covered, offset), taken)
            segments[variable.start + offset] = f"{{{name}}}"
            parameters.append(_path_parameter(name, variable, field, patterns[offset], alone, schemas))
    verb = f":{template.verb}" if template.verb else ""
    return "/" + "/".join(segments) + verb, parameters


def _path_parameter(
    name: str, variable: Variable, field: FieldShape, pattern: str, alone: bool, schemas: Schemas
) -> Schema:
    schema: Schema
    if alone:
        schema = schemas.field(field, "input")
        schema = {key: value for key, value in schema.items() if key not in ("description", "readOnly")}
        if schema.get("type") == "string" and "minLength" not in schema:
            schema["minLength"] = 1
    else:
        schema = {"type": "string", "minLength": 1, **({"pattern": pattern} if pattern else {})}
    part = f"Part of `{variable.field}`." if not alone else ""
    text = " ".join(filter(None, (schemas.prose(field), part)))
    described = {"description": text} if text else {}
    return {"name": name, "in": "path", "required": True, **described, "schema": schema}


def _segment_patterns(field: FieldShape, covered: tuple[str, ...]) -> list[str]:
    """The rule `^shelves/[a-z]+/books/[a-z]+$` as one pattern a segment; empty if it is not that simple."""
    nothing = [""] * len(covered)
    rules: Any = field.rules
    if rules is None or not rules.HasField("string") or not rules.string.HasField("pattern"):
        return nothing
    whole = re.fullmatch(r"\^(.*)\$", rules.string.pattern)
    parts = _SLASH_OUTSIDE_BRACKETS.split(whole[1]) if whole else []
    fits = len(parts) == len(covered) and all(
        want in ("*", part) for want, part in zip(covered, parts, strict=True)
    )
    if not fits or not all(_compiles(part) for part in parts):
        return nothing
    return [f"^(?:{part})$" if "|" in part else f"^{part}$" for part in parts]


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def query_parameters(plan: RequestPlan, schemas: Schemas) -> Iterator[Schema]:
    """Everything that neither path nor body holds; lists are given by repeating the parameter."""
    for name, parameter in plan.query.items():
        schema = schemas.field(parameter.field, "input")
        text = schema.pop("description", "")
        deprecated = schema.pop("deprecated", False)
        if plan.mask_field is not None and parameter.field is plan.mask_field and plan.resource is not None:
            schema = _mask_schema(plan)
            text = text or "The fields to change; without it, those that the body holds."
        yield {
            "name": name,
            "in": "query",
            "required": parameter.required,
            **({"description": text} if text else {}),
            **({"deprecated": True} if deprecated else {}),
            **({"style": "form", "explode": True} if parameter.field.repeated else {}),
            "schema": schema,
        }


def _mask_schema(plan: RequestPlan) -> Schema:
    assert plan.resource is not None
    paths = "|".join(r"\.".join(path) for path in masks.settable(plan.resource))
    return {"type": "string", "pattern": rf"^(\*|({paths})(,({paths}))*)?$"}


def partial_parameter(plan: RequestPlan, answer: MessageShape) -> Iterator[Schema]:
    """`fields`, where an answer can be read in part."""
    if reads_in_part(plan.route):
        path = rf"({'|'.join(answer.by_json)})(\.[A-Za-z0-9]+)*"
        yield {
            "name": partial.PARAMETER,
            "in": "query",
            "required": False,
            "description": "The members to answer, separated by commas; `datasets.name` is a member of a member. "
            f"At most {partial.LONGEST} characters. The answer is `{partial.MEDIA_TYPE}` then. Without it: all.",
            # Not `maxLength`: a text of exactly so many letters that fits the pattern takes tools a minute to find.
            "schema": {"type": "string", "pattern": rf"^(\*|{path}(,{path})*)$"},
        }


def condition_parameters(plan: RequestPlan, answers_etag: bool) -> Iterator[Schema]:
    """`If-Match` where a change can be conditional, `If-None-Match` where a copy can be revalidated."""
    if plan.etag_path:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "description": "Change only what is still in this state: the entity tag that was read, or `*`.",
            "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]+")$'},
        }
    if plan.request_id is not None and plan.route.verb != "GET":
        uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": f"The same as `{plan.request_id.json_name}` of the request: sent again with the same "
            "key, it is done once.",
            "schema": {"type": "string", "pattern": f'^({uuid}|"{uuid}")$'},
        }
    if answers_etag and plan.route.verb == "GET":
        yield {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The entity tag of a copy; 304 when it is still good.",
            "schema": {"type": "string"},
        }


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    taken.add(candidate)
    return candidate
