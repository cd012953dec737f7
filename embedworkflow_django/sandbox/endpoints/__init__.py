"""Lists every endpoint of the sandbox, and says which of them are only assumed.

`Route.known` is `documented` when the API's reference shows the endpoint, `sdk` when only the
vendor's own SDK does. The endpoints in `ASSUMED` have been seen nowhere: they follow the REST habit
of this API (`GET /x`, `POST /x`, `GET/PUT/DELETE /x/{id}`), and the hosted API may not have them.
"""

from __future__ import annotations

from . import apps, events, executions, people, workflows
from .request import Request, Route

ROUTES: list[Route] = [
    *workflows.ROUTES,
    *executions.ROUTES,
    *events.ROUTES,
    *people.ROUTES,
    *apps.ROUTES,
]
ASSUMED: tuple[str, ...] = tuple(
    f"{route.method} /{route.path}" for route in ROUTES if route.known == "assumed"
)

__all__ = ["ASSUMED", "ROUTES", "Request", "Route", "find"]

_BY_SHAPE: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
for _route in ROUTES:
    _parts = _route.path.split("/")
    _BY_SHAPE.setdefault((_route.method, len(_parts)), []).append((_parts, _route))


def find(method: str, segments: list[str]) -> tuple[Route, tuple[str, ...]] | None:
    """Return the endpoint that answers *method* on a path, with the path's parameters, or None."""
    for parts, route in _BY_SHAPE.get((method, len(segments)), ()):
        if all(part in ("*", given) for part, given in zip(parts, segments, strict=True)):
            params = tuple(g for p, g in zip(parts, segments, strict=True) if p == "*")
            return (route, params) if all(params) else None
    return None
