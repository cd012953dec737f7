"""Reads the pages' fenced snippets, and runs them in the project that the README's tutorial makes.

A python snippet that begins with ``# path/of.py`` is that file, a template one that begins with
``{# path/of.html #}``. In the tutorial the files make the project; elsewhere ``…/settings.py``
holds for the rest of its section, ``…/urls.py`` likewise, and ``tests.py`` and ``test_….py`` are
run by a test runner. Whatever is in ``<!-- run … -->`` is run in its place and unseen by readers:
it says what must be true by now.

``python -m tests.snippets PAGE`` runs a page, in the project's folder: each section has a database
without rows, a sandbox, and names and receivers of its own.
"""

from __future__ import annotations

import re
import shlex
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_PART = re.compile(
    r"^(?:(?P<heading>#+) (?P<title>[^\n]+)"
    r"|```(?P<language>\w*)\n(?P<code>.*?)^```"
    r"|<!-- run\n(?P<hidden>.*?)^-->)$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# (\S+\.py)\n")
_TEMPLATE = re.compile(r"\{# (\S+\.html) #\}\n")
_TESTS = re.compile(r"tests|test_\w+")
TUTORIAL = "Five minutes, from an empty folder"
#: What a snippet may import that need not be installed; it is not run then.
OPTIONAL = ("unfold",)
#: Commands that go on until they are stopped, or ask a person: their arguments are parsed only.
ENDLESS = ("createsuperuser", "embedworkflow_sandbox", "embedworkflow_worker", "runserver")


@dataclass(frozen=True)
class Snippet:
    """A fenced block, or what is to be run unseen.

    Args:
        section: The title of its section.
        language: What follows the fence; ``run`` if it is unseen.
        code: What is in it.
        line: The line of the page that it begins after.
    """

    section: str
    language: str
    code: str
    line: int

    @property
    def path(self) -> str:
        """The file that it is, or nothing."""
        found = _FILE.match(self.code) if self.language == "python" else None
        return found[1] if found else ""

    @property
    def is_test(self) -> bool:
        """Whether a test runner runs it."""
        return bool(_TESTS.fullmatch(Path(self.path).stem)) and bool(self.path)

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a bash block, word by word."""
        return [shlex.split(line, comments=True) for line in self.code.splitlines() if line]


def read(page: Path) -> list[Snippet]:
    """Return the snippets of a page in their order."""
    text, section, snippets = page.read_text(encoding="utf-8"), "", []
    for part in _PART.finditer(text):
        if part["heading"]:
            section = part["title"]
            continue
        language, code = (part["language"], part["code"]) if part["code"] else ("run", part[0])
        if language == "run":
            code = part["hidden"]
        line = text.count("\n", 0, part.start(0)) + 1
        snippets.append(Snippet(section, language, code, line))
    return snippets


def main(page: Path) -> None:
    """Run a page's snippets in the project of the current folder."""
    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connections

    for alias in connections:
        call_command("migrate", database=alias, verbosity=0)
    sections: dict[str, list[Snippet]] = {}
    for snippet in read(page):
        sections.setdefault(snippet.section, []).append(snippet)
    for section in sections.values():
        _Section(page).run(section)
    sys.stdout.write(f"{page.name}: {len(sections)} sections ran.\n")


class _Section:
    """Runs the snippets between two headings."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.stack = ExitStack()
        self.names: dict[str, object] = {}

    def run(self, snippets: list[Snippet]) -> None:
        from embedworkflow_django import testing
        from embedworkflow_django.models import Execution

        with self.stack, _receivers_kept(), _emptied():
            self.names = {"testing": testing, "Execution": Execution}
            self.open_sandbox()
            for snippet in snippets:
                self.run_one(snippet)

    def open_sandbox(self) -> None:
        from embedworkflow_django import conf, testing

        raising = {"TRIGGER_ERRORS": conf.settings.given.get("TRIGGER_ERRORS", "raise")}
        sandbox = self.stack.enter_context(testing.sandbox(settings=raising))
        sandbox.add_examples()
        for account in list(sandbox.engine.accounts.values())[1:]:
            sandbox.engine.upsert_user(account, "europe", {})
            sandbox.add_workflow("welcome-email", account=account, user_key="europe")
        self.names["sandbox"] = sandbox

    def run_one(self, snippet: Snippet) -> None:
        if snippet.language == "bash":
            for command in snippet.commands:
                self.run_command(command)
        elif snippet.language == "dotenv":
            Path(".env").write_text(snippet.code, encoding="utf-8")
        elif snippet.language == "html":
            self.write_template(snippet.code)
        elif snippet.language in {"python", "run"} and not snippet.is_test:
            self.run_python(snippet)

    def run_python(self, snippet: Snippet) -> None:
        if snippet.section == TUTORIAL and snippet.path:
            return  # The project has it as a file.
        if any(f"from {name}." in snippet.code and not find_spec(name) for name in OPTIONAL):
            return
        name = snippet.path.removesuffix(".py").replace("/", ".") or "snippet"
        # As many lines down as on the page, so that a traceback points there.
        code = compile("\n" * snippet.line + snippet.code, str(self.page), "exec")
        stem = Path(snippet.path).stem
        if stem in {"settings", "test_settings"}:
            self.apply_settings(code)
        elif stem in {"urls", "routers"}:
            module = types.ModuleType(name)
            sys.modules[name] = module
            exec(code, module.__dict__)
            if stem == "urls":
                self.override(ROOT_URLCONF=name)
        else:
            self.names["__name__"] = name
            exec(code, self.names)

    def write_template(self, code: str) -> None:
        """Put a template where its app is looked through for it."""
        from django.template.utils import get_app_template_dirs

        file = Path(_TEMPLATE.match(code)[1])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
        get_app_template_dirs.cache_clear()

    def apply_settings(self, code: types.CodeType) -> None:
        """Have settings hold for the rest of the section; the system checks must be content."""
        from logging.config import dictConfig

        from django.conf import settings
        from django.core.checks import run_checks

        before = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
        # Lists of its own: a snippet may add to one in place.
        names = {k: [*v] if isinstance(v, list) else v for k, v in before.items()}
        exec(code, names)
        changed = {k: v for k, v in names.items() if k.isupper() and v != before.get(k)}
        if "LOGGING" in changed:
            dictConfig(changed["LOGGING"])
        # Django does not read these anew.
        changed = {k: v for k, v in changed.items() if k not in {"LOGGING", "DATABASES"}}
        self.override(**changed)
        found = run_checks(tags=["embedworkflow"])
        assert [] == found, found
        self.open_sandbox()

    def override(self, **settings: object) -> None:
        from django.test import override_settings

        self.stack.enter_context(override_settings(**settings))

    def run_command(self, words: list[str]) -> None:
        """Run a command of ``manage.py``; of one that does not end, parse the arguments."""
        from django.core.management import call_command, get_commands, load_command_class

        from embedworkflow_django.sandbox.__main__ import parser

        match words:
            case ["python", "-m", "embedworkflow_django.sandbox", *arguments]:
                parser().parse_args(arguments)
            case ["python", "manage.py", name, *arguments] if name not in ENDLESS:
                if name not in {"startapp", "makemigrations"}:
                    call_command(name, *arguments)
            case ["python", "manage.py", name, *arguments]:
                command = load_command_class(get_commands()[name], name)
                command.create_parser("manage.py", name).parse_args(arguments)
            case ["pip" | "django-admin" | "cd" | "pytest", *_]:
                pass  # The tests of the pages see to these.
            case _:
                raise AssertionError(f"{self.page.name}: nobody runs {shlex.join(words)!r}.")


@contextmanager
def _receivers_kept() -> Iterator[None]:
    """Take out afterwards what a section has connected."""
    import gc

    from django.dispatch import Signal

    from embedworkflow_django import triggers

    signals = [thing for thing in gc.get_objects() if isinstance(thing, Signal)]
    receivers, registry = [signal.receivers[:] for signal in signals], dict(triggers.registry)
    yield
    for signal, before in zip(signals, receivers, strict=True):
        signal.receivers = before
        signal.sender_receivers_cache.clear()
    triggers.registry.clear()
    triggers.registry.update(registry)
    triggers.duplicates.clear()


@contextmanager
def _emptied() -> Iterator[None]:
    from django.core.management import call_command
    from django.db import connections

    yield
    for alias in connections:
        call_command("flush", database=alias, interactive=False, verbosity=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
