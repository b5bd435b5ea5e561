"""`buf.validate` rules as JSON Schema keywords, as far as these have words for them."""

from __future__ import annotations

import re
from typing import Any

from plaza_gateway.transcode.shapes import FieldShape, Kind, enum_names

Schema = dict[str, Any]

_IF_ZERO, _ALWAYS = 1, 3
_SPECIAL = re.compile(r"[.*+?^${}()|\[\]\\/]")
_FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_PATTERNS = {
    "tuuid": "^[0-9a-fA-F]{32}$",
    "ulid": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
}


def constrained(field: FieldShape, base: Schema, rules: Any | None) -> Schema:
    """`base`, the schema of one value, narrowed by the rules for that value."""
    if rules is None or rules.ignore == _ALWAYS:
        return base
    kind = rules.WhichOneof("type")
    if kind is None:
        return base
    keywords = _keywords(field, base, getattr(rules, kind))
    # The type's own bounds say nothing beside narrower ones.
    wider = {"minimum"} if "exclusiveMinimum" in keywords else set()
    wider |= {"maximum"} if "exclusiveMaximum" in keywords else set()
    narrowed = {**{key: value for key, value in base.items() if key not in wider}, **keywords}
    if rules.ignore == _IF_ZERO and narrowed != base and not field.explicit:
        zero = _zero(field)
        return base if zero is None else {"anyOf": [{"const": zero}, narrowed]}
    return narrowed


def list_keywords(rules: Any | None) -> Schema:
    """Keywords of an array."""
    if rules is None or rules.ignore == _ALWAYS or not rules.HasField("repeated"):
        return {}
    given = rules.repeated
    found: Schema = {}
    if given.min_items and rules.ignore != _IF_ZERO:
        found["minItems"] = given.min_items
    if given.HasField("max_items"):
        found["maxItems"] = given.max_items
    if given.unique:
        found["uniqueItems"] = True
    return found


def map_keywords(rules: Any | None) -> Schema:
    """Keywords of an object that is a map, but for its values."""
    if rules is None or rules.ignore == _ALWAYS or not rules.HasField("map"):
        return {}
    given = rules.map
    found: Schema = {}
    if given.min_pairs and rules.ignore != _IF_ZERO:
        found["minProperties"] = given.min_pairs
    if given.HasField("max_pairs"):
        found["maxProperties"] = given.max_pairs
    if given.HasField("keys") and given.keys.HasField("string"):
        found["propertyNames"] = _string(given.keys.string)
    return found


def item_rules(rules: Any | None) -> Any | None:
    """The rules of a list's items or a map's values."""
    if rules is None or rules.ignore == _ALWAYS:
        return None
    if rules.HasField("repeated") and rules.repeated.HasField("items"):
        return rules.repeated.items
    if rules.HasField("map") and rules.map.HasField("values"):
        return rules.map.values
    return None


def is_finite(field: FieldShape) -> bool:
    """A rule keeps NaN and the infinities out."""
    rules = item_rules(field.rules) if not field.single else field.rules
    kind = rules.WhichOneof("type") if rules is not None else None
    return kind in ("double", "float") and getattr(rules, kind).finite


def _keywords(field: FieldShape, base: Schema, rules: Any) -> Schema:
    match field.kind:
        case Kind.STRING:
            return _string(rules)
        case Kind.INT32 | Kind.UINT32 | Kind.FLOAT | Kind.DOUBLE:
            return _numeric(rules)
        case Kind.INT64 | Kind.UINT64:
            return _numeric_text(rules, base)
        case Kind.ENUM:
            return _enum(field, rules)
        case Kind.BYTES:
            return _bytes(rules)
        case Kind.BOOL:
            return {"const": rules.const} if rules.HasField("const") else {}
    return {}


def _string(rules: Any) -> Schema:
    found: Schema = {}
    low, high = (rules.len, rules.len) if rules.HasField("len") else (rules.min_len, rules.max_len)
    if low:
        found["minLength"] = low
    if rules.HasField("len") or rules.HasField("max_len"):
        found["maxLength"] = high
    elif rules.HasField("max_bytes"):
        found["maxLength"] = rules.max_bytes
    patterns = [rules.pattern] if rules.HasField("pattern") else []
    patterns += [f"^{_literal(rules.prefix)}"] if rules.HasField("prefix") else []
    patterns += [f"{_literal(rules.suffix)}$"] if rules.HasField("suffix") else []
    patterns += [_literal(rules.contains)] if rules.HasField("contains") else []
    known = rules.WhichOneof("well_known")
    if known in _FORMATS and getattr(rules, known):
        found["format"] = _FORMATS[known]
    elif known in _PATTERNS and getattr(rules, known):
        patterns.append(_PATTERNS[known])
    if len(patterns) == 1:
        found["pattern"] = patterns[0]
    elif patterns:
        found["allOf"] = [{"pattern": each} for each in patterns]
    return {**found, **_chosen(rules, lambda value: value)}


def _numeric(rules: Any) -> Schema:
    low = rules.WhichOneof("greater_than")
    high = rules.WhichOneof("less_than")
    found = _chosen(rules, lambda value: value)
    if low and high and getattr(rules, low) >= getattr(rules, high):
        # protovalidate reads an inverted range as "outside of it".
        words = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
        outside = [{words[each]: getattr(rules, each)} for each in (low, high)]
        return {**found, "anyOf": outside}
    if low:
        found["minimum" if low == "gte" else "exclusiveMinimum"] = getattr(rules, low)
    if high:
        found["maximum" if high == "lte" else "exclusiveMaximum"] = getattr(rules, high)
    return found


def _numeric_text(rules: Any, base: Schema) -> Schema:
    """64-bit numbers are text in JSON: a sign can be told by a pattern, other bounds by words."""
    found = _chosen(rules, str)
    low, high = rules.WhichOneof("greater_than"), rules.WhichOneof("less_than")
    floor = getattr(rules, low) + (low == "gt") if low else None
    ceiling = getattr(rules, high) if high else None
    if floor is not None and floor >= 0 and (ceiling is None or ceiling > floor):
        found["pattern"] = "^[1-9][0-9]{0,18}$" if floor > 0 else "^(0|[1-9][0-9]{0,18})$"
    words = {"gt": "more than", "gte": "at least", "lt": "less than", "lte": "at most"}
    bounds = [f"{words[each]} {getattr(rules, each)}" for each in (low, high) if each]
    if bounds and (floor, ceiling) not in ((0, None), (1, None)):
        found["description"] = " ".join(filter(None, (base.get("description"), f"({', '.join(bounds)})")))
    return found


def _enum(field: FieldShape, rules: Any) -> Schema:
    allowed = {
        name: number
        for name, number in enum_names(field).items()
        if number not in rules.not_in and (not getattr(rules, "in") or number in getattr(rules, "in"))
    }
    if rules.HasField("const"):
        allowed = {name: number for name, number in allowed.items() if number == rules.const}
    return {"enum": list(allowed)}


def _bytes(rules: Any) -> Schema:
    """Lengths of base64 text: four characters for each three bytes begun."""
    found: Schema = {}
    low, high = (rules.len, rules.len) if rules.HasField("len") else (rules.min_len, rules.max_len)
    if low:
        found["minLength"] = 4 * -(-low // 3)
    if rules.HasField("len") or rules.HasField("max_len"):
        found["maxLength"] = 4 * -(-high // 3)
    return found


def _literal(text: str) -> str:
    """Text as a pattern; `re.escape` escapes more than ECMA-262 allows."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _chosen(rules: Any, written: Any) -> Schema:
    """`const`, `in`, `not_in`."""
    found: Schema = {}
    if rules.HasField("const"):
        found["const"] = written(rules.const)
    if choices := list(getattr(rules, "in")):
        found["enum"] = [written(each) for each in choices]
    if refused := list(rules.not_in):
        found["not"] = {"enum": [written(each) for each in refused]}
    return found


def _zero(field: FieldShape) -> Any:
    match field.kind:
        case Kind.STRING | Kind.BYTES:
            return ""
        case Kind.INT32 | Kind.UINT32 | Kind.FLOAT | Kind.DOUBLE:
            return 0
        case Kind.INT64 | Kind.UINT64:
            return "0"
        case Kind.BOOL:
            return False
        case Kind.ENUM:
            return next(name for name, number in enum_names(field).items() if number == 0)
    return None
