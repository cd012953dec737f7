"""The rooms stand on floors, and imports point down; read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import embedworkflow_django

PACKAGE = "embedworkflow_django"
ROOT = Path(embedworkflow_django.__file__).parent

FLOORS = [
    {"__init__"},
    {"exceptions", "signals", "sandbox", "keys", "fields"},
    {"client", "conf"},
    {
        "models",
        "connections",
        "redaction",
        "encoding",
        "pauses",
        "messenger",
        "forks",
        "tokens",
        "embed",
    },
    {"intake", "outbox", "mirror", "selection"},
    {"delivery", "sync", "pulse", "lanes", "notices"},
    {"worker"},
    {"dispatchers"},
    {"engines"},
    {"services", "figures"},
    {"triggers", "jobs"},
    {"probes"},
    {"admin", "rest", "callbacks", "management", "templatetags", "testing", "checks"},
    # Django and pytest come in here: one registers the checks, the other offers the fixtures.
    {"apps", "pytest_plugin"},
]
# ``conf``, what it takes to read an environment, and what values may be: one room.
JOINED = {"env": "conf", "values": "conf"}
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

MODULES = [
    path.relative_to(ROOT).with_suffix("")
    for path in sorted(ROOT.rglob("*.py"))
    if "migrations" not in path.parts
]


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    return "TYPE_CHECKING" in {
        name.id if isinstance(name, ast.Name) else name.attr
        for name in ast.walk(node.test)
        if isinstance(name, (ast.Name, ast.Attribute))
    }


def _statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import that may run, those inside functions too."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    children = node.orelse if _is_type_checking(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from _statements(child)


def imports(source: str, module: Path) -> set[str]:
    """Return the dotted names that a module of the package imports, relative ones resolved."""
    here = [PACKAGE, *module.parts][:-1]
    names: set[str] = set()
    for statement in _statements(ast.parse(source)):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
            continue
        above = here[: len(here) - statement.level + 1] if statement.level else []
        origin = ".".join([*above, *filter(None, [statement.module])])
        names |= {f"{origin}.{alias.name}" for alias in statement.names}
    return names


def room_of(module: Path) -> str:
    """Return the room that a module of the package is in."""
    return JOINED.get(module.parts[0], module.parts[0])


def rooms(names: set[str]) -> set[str]:
    """Return the rooms of the package that dotted names lead to; ``__init__`` is one as well."""
    found = set()
    for name in names:
        package, *rest = name.split(".")
        if package == PACKAGE:
            room = room_of(Path(*rest)) if rest else ""
            found.add(room if room in FLOOR_OF else "__init__")
    return found


def imports_of(module: Path) -> set[str]:
    """Return the dotted names that a module of the package imports."""
    return imports((ROOT / module).with_suffix(".py").read_text(), module)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_is_in_a_room_that_stands_on_a_floor(module):
    """A new room is given its floor before anything can lean on it."""
    assert room_of(module) in FLOOR_OF


def test_every_room_on_the_floors_exists():
    """The plan names no room that has been torn down."""
    assert {room_of(module) for module in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_room_imports_from_lower_floors_only(module):
    """What a module imports is its own room, or a room on a lower floor."""
    here = room_of(module)
    wrong = {
        room for room in rooms(imports_of(module)) - {here} if FLOOR_OF[room] >= FLOOR_OF[here]
    }

    assert set() == wrong


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) == "client"], ids=str)
def test_the_client_knows_no_django(module):
    """The client leans on the exceptions and on no framework."""
    names = imports_of(module)

    assert set() == {name for name in names if name.split(".")[0] in {"django", "rest_framework"}}
    assert rooms(names) <= {"__init__", "client", "exceptions"}


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) == "sandbox"], ids=str)
def test_the_sandbox_imports_nothing_of_ours(module):
    """The sandbox is a second reading of the contract, so it shares no line with the first."""
    names = imports_of(module)

    assert set() == {name for name in names if name.split(".")[0] in {"django", "rest_framework"}}
    assert rooms(names) <= {"sandbox"}


@pytest.mark.parametrize("room", ["client", "sandbox", "exceptions"])
def test_works_without_django(room, python):
    """The room can be imported where Django is not installed."""
    assert "" == python(f"import sys; sys.modules['django'] = None; import {PACKAGE}.{room}")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("from . import outbox, worker", {"outbox", "worker"}, id="modules"),
        pytest.param("from .models import Execution", {"models"}, id="names"),
        pytest.param("from .client.api import Client", {"client"}, id="deep"),
        pytest.param("def f():\n    from . import services", {"services"}, id="in-a-function"),
        pytest.param("class A:\n    from . import services", {"services"}, id="in-a-class"),
        pytest.param("try:\n    from . import rest\nexcept E: ...", {"rest"}, id="in-a-try"),
        pytest.param(f"import {PACKAGE}.checks as c", {"checks"}, id="absolute"),
        pytest.param(f"from {PACKAGE} import admin", {"admin"}, id="absolute-from"),
        pytest.param("from . import __version__", {"__init__"}, id="the-package"),
        pytest.param("import django.conf", set(), id="not-ours"),
        pytest.param("if TYPE_CHECKING:\n    from . import services", set(), id="for-types"),
        pytest.param(
            "if typing.TYPE_CHECKING:\n    from . import services\nelse:\n    from . import conf",
            {"conf"},
            id="for-types-or-else",
        ),
    ],
)
def test_the_reading_of_imports_finds_each_kind(source, found):
    """No spelling of an import escapes the rules above."""
    assert found == rooms(imports(source, Path("triggers")))


def test_the_reading_resolves_parents():
    """Two dots in a subpackage lead to the package, one dot to the subpackage."""
    source = "from .. import services\nfrom ..conf import settings\nfrom . import pages"

    assert {"services", "conf", "admin"} == rooms(imports(source, Path("admin/executions")))
