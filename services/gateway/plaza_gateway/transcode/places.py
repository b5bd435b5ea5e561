"""Where a request field was written by the caller: in the path, the query or the body."""

from __future__ import annotations

import re
from collections.abc import Sequence

from plaza_gateway.transcode.prewalk import pointer
from plaza_gateway.transcode.problems import Where
from plaza_gateway.transcode.routes import Route
from plaza_gateway.transcode.shapes import MessageShape

Step = str | int
_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[([^\]]*)\]')


def parse_path(text: str) -> tuple[Step, ...]:
    """Steps of a path as services and protovalidate write it: `dataset.fields[0].labels["zh"]`.
    Keys of maps may stand without quotes."""
    steps: list[Step] = []
    for name, index, key, other in _STEP.findall(text):
        steps.append(int(index) if index else name or key or other)
    return tuple(steps)


class Places:
    """Field paths of one route's request → places in the HTTP request."""

    def __init__(self, route: Route, request: MessageShape) -> None:
        self._bound = {tuple(each.field.split(".")): each.field for each in route.template.variables}
        self._body = route.binding.body
        self._request = request

    def __call__(self, field: str) -> tuple[Where, str]:
        """The place of a field path in text form, as it comes in `google.rpc.BadRequest`."""
        return self.of_steps(parse_path(field))

    def of_steps(self, steps: Sequence[Step]) -> tuple[Where, str]:
        """The place of a field path whose names are proto names."""
        for bound, name in self._bound.items():
            if tuple(steps[: len(bound)]) == bound:
                return "path", name
        written = self.in_json(steps)
        if self._body == "*" or not steps:
            return "body", pointer(written)
        if steps[0] == self._body:
            return "body", pointer(written[1:])
        return "query", ".".join(part for part in written if isinstance(part, str))

    def in_json(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The same path with JSON names; what is not a known field stays as it is."""
        written: list[Step] = []
        shape: MessageShape | None = self._request
        in_map = False
        for step in steps:
            field = shape.by_name.get(step) if shape and isinstance(step, str) and not in_map else None
            if field is not None:
                written.append(field.json_name)
                shape, in_map = field.message, field.map_key is not None
            else:
                written.append(step)
                in_map = False
        return tuple(written)
