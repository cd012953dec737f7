"""The README and the pages of ``docs``: what they show runs, and what they name exists."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from re import DOTALL, MULTILINE

import pytest
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal

from embedworkflow_django import conf, signals, testing
from embedworkflow_django.management import commands
from embedworkflow_django.models import Execution, Job, Status
from embedworkflow_django.templatetags.embedworkflow import register

from . import snippets, test_layers

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DEMO = 'pip install -e ".[example]" && python example_project/manage.py demo'
TESTS = 'pip install -e ".[test]" && pytest'
LANGUAGES = {"bash", "console", "dotenv", "html", "ini", "python", "text"}
# The tutorial's reader has a second database in one recipe.
MORE_SETTINGS = """
ALLOWED_HOSTS = ["testserver"]
DATABASES["archive"] = {**DATABASES["default"], "NAME": BASE_DIR / "archive.sqlite3"}
"""

# What comes before each example in a docstring of ``testing``.
BEFORE = dict.fromkeys(testing.__all__, "from shop.models import Order\n") | {
    "sandbox": "from embedworkflow_django.services import execute\n",
    "sync": """
from embedworkflow_django.services import execute

sandbox.add_workflow(
    "parcel",
    nodes=[
        {"id": "mail01", "type": "Email", "recipient": "{{ email }}"},
        {"id": "wait01", "type": "Delay", "delay_n": 1, "delay_unit": "day"},
    ],
    edges=["mail01-wait01"],
)
execution = execute("parcel", {"email": "ada@example.com"})
testing.deliver()
""",
}


def run(*words: str | Path, folder: Path) -> str:
    """Run a command of the tutorial in a folder, warnings as errors; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "DJANGO_SETTINGS_MODULE": "mysite.settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert 0 == done.returncode, f"{done.stdout}{done.stderr}"[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """The folder of the project that the tutorial makes: its commands, then its files."""
    folder = tmp_path_factory.mktemp("tutorial")
    steps = [s for s in snippets.read(README) if s.section == snippets.TUTORIAL]
    for words in [words for step in steps if step.language == "bash" for words in step.commands]:
        match words:
            case ["django-admin", *arguments]:
                run("-m", "django", *arguments, folder=folder)
            case ["cd", where]:
                folder /= where
            case ["python", "manage.py", "startapp", *_]:
                run(*words[1:], folder=folder)
    for step in steps:
        if step.path:
            before = (folder / step.path).read_text() if "settings" in step.path else ""
            (folder / step.path).write_text(before + step.code)
    run("manage.py", "check", "--fail-level", "WARNING", folder=folder)
    run("manage.py", "makemigrations", "shop", folder=folder)
    with (folder / "mysite/settings.py").open("a") as settings:
        settings.write(MORE_SETTINGS)
    return folder


@pytest.fixture
def project(tutorial, tmp_path):
    """A copy of the tutorial's project."""
    return shutil.copytree(tutorial, tmp_path / "mysite")


def table(title: str, page: Path = README) -> list[list[str]]:
    """Return the cells of a section's first table, without its head."""
    section = re.search(
        rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", page.read_text(), MULTILINE | DOTALL
    )
    rows = re.search(r"^\|.*?(?=^[^|]|\Z)", section[1], MULTILINE | DOTALL)[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def names(cell: str) -> list[str]:
    """Return what stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_snippet_of_a_page_runs(page, project):
    """What a page shows works as it stands, one block after the other."""
    assert f"{page.name}: " in run("-m", "tests.snippets", page, folder=project)


def test_the_tests_that_the_pages_show_pass(project):
    """With Django's runner and with pytest."""
    shown = [snippet for page in PAGES for snippet in snippets.read(page) if snippet.is_test]
    for snippet in shown:
        (project / snippet.path).write_text(snippet.code)

    run("manage.py", "test", "shop", folder=project)
    pytest_s = ["-m", "pytest", "-q", "-c", "/dev/null", "--rootdir=.", "-p", "no:cacheprovider"]
    said = run(*pytest_s, *[snippet.path for snippet in shown], folder=project)
    functions = [line for snippet in shown for line in re.findall(r"def test_", snippet.code)]
    assert f"{len(functions)} passed" in said


def test_the_examples_of_testing_run(project, tmp_path):
    """What the docstrings of the public helpers show works as it stands."""
    page = tmp_path / "testing.md"
    examples = {name: _example(getattr(testing, name)) for name in testing.__all__}
    page.write_text(
        "".join(
            f"## {name}\n```python\n{BEFORE[name]}```\n```python\n{example}```\n"
            for name, example in examples.items()
        )
    )
    run("-m", "tests.snippets", page, folder=project)

    imports = "from django.test import TestCase\nfrom shop.models import Order\n"
    (project / "shop/tests.py").write_text(imports + _example(testing))
    run("manage.py", "test", "shop", folder=project)


def _example(thing: object) -> str:
    """Return the one example of a docstring."""
    (example,) = re.findall(r"::\n\n((?: {4}.*\n|\n)+)", f"{inspect.getdoc(thing)}\n")
    return textwrap.dedent(example)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_block_has_a_language_that_somebody_checks(page):
    """No snippet escapes by its fence."""
    fences = re.findall(r"^ *```(\w*)", page.read_text(), MULTILINE)

    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


@pytest.mark.parametrize("command", [DEMO, TESTS])
def test_the_two_commands_stand_in_blocks_of_their_own(command):
    """Whoever copies a block runs the one command, as ``.ci/run`` does."""
    assert 1 == [s.code for s in snippets.read(README) if s.language == "bash"].count(
        f"{command}\n"
    )


def test_what_is_installed_exists(setup_cfg_extras):
    """Each ``pip install`` names this package and extras that it has."""
    lines = [s.code for page in PAGES for s in snippets.read(page) if s.language == "bash"]
    installs = [line for text in lines for line in text.splitlines() if line.startswith("pip")]
    for line in installs:
        requirement = shlex.split(line.partition(" && ")[0])[-1]
        found = re.fullmatch(r"(\.|embedworkflow-django)(?:\[(\w+)\])?", requirement)
        assert found, line
        assert found[2] in {*setup_cfg_extras, None}


@pytest.fixture
def setup_cfg_extras():
    """The extras that ``setup.cfg`` has."""
    section = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    return set(re.findall(r"^(\w+) =$", section.partition("\n[")[0], MULTILINE))


def test_the_settings_table_is_the_code_s():
    """Every setting is there, in any order, with the default that it has."""
    shown = {names(row[0])[0]: names(row[1])[0] for row in table("Settings")}

    defaults = {k: eval(v, {"timedelta": timedelta}) for k, v in shown.items()}
    assert conf.DEFAULTS == defaults


def test_the_settings_of_an_account_are_marked():
    """The table tells which keys an account may have for itself."""
    marked = {names(row[0])[0] for row in table("Settings") if row[2].endswith("¹")}

    assert set(conf.ACCOUNT_SETTINGS) == marked


def test_the_signals_table_is_the_code_s():
    """Every signal is there, with the arguments that the code documents."""
    source = Path(signals.__file__).read_text()
    documented = {
        name: set(re.findall(r"``(\w+)``", arguments))
        for arguments, name in re.findall(r"#: Arguments: ((?:[^\n]|\n#)*)\n(\w+) = Signal", source)
    }

    assert documented == {names(row[0])[0]: set(names(row[2])) for row in table("Signals")}
    assert set(documented) == {k for k, v in vars(signals).items() if isinstance(v, Signal)}


def test_the_statuses_table_is_the_code_s():
    """Every status is there, and the final ones are called so."""
    rows = table("Statuses")

    assert set(Status) == {name for row in rows for name in names(row[0])}
    final = {name for row in rows if row[2:] == ["yes"] for name in names(row[0])}
    assert {status for status in Status if Execution(status=status).is_final} == final


def test_the_commands_table_is_the_code_s():
    """Every command is there, with the exit codes that its module documents; 2 goes for all."""
    shown = {names(row[0])[0]: _numbers(row[2]) | {"2"} for row in table("Commands")}
    modules = Path(commands.__path__[0]).glob("embedworkflow_*.py")
    documented = {module.stem: _numbers(_exit_codes(module)) for module in modules}

    assert documented == shown


def test_every_option_in_the_commands_table_exists():
    """An option that a row names is the row's command's."""
    for row in table("Commands"):
        (name,) = names(row[0])
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        options = {option for cell in row[1:] for option in names(cell) if option[0] == "-"}
        assert options <= known


def test_every_option_of_the_demo_exists():
    """What the README says of the demo is what the demo says of itself."""
    section = README.read_text().partition("## Try it")[2].partition("\n## ")[0]
    demo = [ROOT / "example_project/manage.py", "demo", "--settings=config.settings", "--help"]
    help_text = run(*demo, folder=ROOT / "example_project")

    options = set(re.findall(r"`(--[\w-]+)", section))
    assert {"--headless"} <= options <= set(re.findall(r"--[\w-]+", help_text))


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\b[0-3]\b", text))


def _exit_codes(module: Path) -> str:
    return (
        ast.get_docstring(ast.parse(module.read_text()))
        .partition("Exit codes:")[2]
        .partition("\n\n")[0]
    )


def test_the_permissions_table_is_the_code_s():
    """Every permission that somebody asks for is there."""
    shown = {names(row[0])[0] for row in table("Let people in", ROOT / "docs/howto.md")}

    own = (*Execution._meta.permissions, *Job._meta.permissions)
    codenames = {"view_execution", "view_job", *(codename for codename, _ in own)}
    assert {f"embedworkflow.{codename}" for codename in codenames} == shown


@pytest.fixture(scope="module")
def test_names():
    """The names of all tests."""
    return {
        node.name
        for module in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page, test_names):
    """A table's proof can be looked up and run."""
    named = set(re.findall(r"`(test_\w+…?)`", page.read_text()))

    assert set() == named - test_names


def test_every_promise_and_every_case_names_its_test():
    """No row of the two tables is only a claim."""
    rows = [row for title in ("Guarantees", "What happens when …") for row in table(title)]

    assert [] == [row for row in rows if not any(n.startswith("test_") for n in names(row[2]))]


def test_each_promise_is_proved_by_the_test_of_its_number():
    """Promise 7 is what ``test_promise_07_…`` shows."""
    said = [row[0].partition(".")[0] for row in table("Guarantees")]
    proofs = [names(row[2])[0].removeprefix("test_promise_")[:2] for row in table("Guarantees")]

    assert [str(number) for number in range(1, 11)] == said
    assert [f"{number:02}" for number in range(1, 11)] == proofs


def test_each_promise_names_its_proof_on_the_page_of_proofs():
    """What is promised in the README is what is proved at length."""
    proofs = [names(row[1])[0] for row in table("Promises", ROOT / "docs/resilience.md")]

    assert [names(row[2])[0] for row in table("Guarantees")] == proofs


def shown_programs() -> dict[str, set[str]]:
    """Return the tests' own programs that the pages have somebody run, with their options."""
    shown: dict[str, set[str]] = {}
    for page in PAGES:
        for words, options in re.findall(
            r"python ((?:-m )?tests[./][\w./]+)((?: [\w.,-]+)*)", page.read_text()
        ):
            shown.setdefault(words, set()).update(re.findall(r"--[\w-]+", options))
    return shown


@pytest.mark.parametrize(("program", "options"), shown_programs().items())
def test_every_proof_that_is_a_program_exists(program, options):
    """A command of a page starts, and has the options that are shown."""
    said = run(*program.split(), "--help", folder=ROOT)

    assert options <= set(re.findall(r"--[\w-]+", said))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_tests_that_is_named_exists(page):
    """What a page has pytest run, or tells somebody to read, is there."""
    named = set(re.findall(r"\btests/[\w/]+\.py", page.read_text()))

    assert [] == [path for path in named if not (ROOT / path).exists()]


def test_every_room_is_on_the_page_of_the_rooms():
    """Whoever carries the work on finds what each is responsible for."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = set().union(*test_layers.FLOORS) - {"__init__"}

    assert set() == {room for room in rooms if f"`{room}`" not in page}


def test_the_versions_are_those_of_the_metadata():
    """Nothing is said to be tested that the metadata does not name."""
    setup_cfg = (ROOT / "setup.cfg").read_text()
    versions = {row[0]: row[1] for row in table("Versions")}
    for name, classifier in {"Python": "Programming Language", "Django": "Framework"}.items():
        found = re.findall(rf"{classifier} :: {name} :: (\d\.\d+)", setup_cfg)
        assert ", ".join(found) == versions[name]
    for name, requirement in {
        "requests": "requests",
        "Django REST framework (extra `rest`)": "djangorestframework",
        "django-environ (extra `env`)": "django-environ",
        "PyJWT (extra `embed`)": "PyJWT",
    }.items():
        bound = re.search(rf"^    {requirement}>=([\d.]+)$", setup_cfg, MULTILINE)[1]
        assert f"{bound} and newer" == versions[name]


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made where it is shown."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=DOTALL), MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page):
    """Files, pictures and headings that a page links to exist."""
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())
    for path, _, anchor in (target.partition("#") for target in targets):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in _anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page):
    """A name that begins like a command is one, a template tag, or the package."""
    known = {module.stem for module in Path(commands.__path__[0]).glob("*.py")} | {*register.tags}
    named = set(re.findall(r"\bembedworkflow_\w+", page.read_text()))

    assert set() == named - known - {"embedworkflow_django"}
