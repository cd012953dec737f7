"""What the package says of itself: metadata that holds, said once, and agreed on by all files."""

from __future__ import annotations

import re
import tomllib
from configparser import RawConfigParser
from importlib import import_module, metadata
from pathlib import Path

import pytest

import embedworkflow_django

ROOT = Path(__file__).parent.parent
NAME = "embedworkflow-django"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.fixture
def setup_cfg():
    """``setup.cfg``, parsed."""
    parser = RawConfigParser()
    parser.optionxform = str
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture
def pyproject():
    """``pyproject.toml``, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def tox():
    """``tox.ini``, as text."""
    return (ROOT / "tox.ini").read_text()


def _versions(setup_cfg, of: str) -> list[str]:
    classifiers = _lines(setup_cfg["metadata"]["classifiers"])
    found = [re.fullmatch(rf"{of} :: (\d+\.\d+)", line) for line in classifiers]
    return [match[1] for match in found if match]


def _bound(setup_cfg, package: str) -> str:
    bounds = _lines(setup_cfg["options"]["install_requires"])
    return next(line.removeprefix(f"{package}>=") for line in bounds if line.startswith(package))


def test_the_installed_version_is_the_package_s_own():
    """The distribution and the package say one version."""
    assert embedworkflow_django.__version__ == metadata.version(NAME)


def test_what_the_package_is_stands_in_setup_cfg_alone(pyproject):
    """With a ``[project]`` table setuptools would ignore the metadata of ``setup.cfg``."""
    assert {"build-system", "tool"} == set(pyproject)


def test_dependencies_have_lower_bounds_and_no_caps(setup_cfg):
    """A cap would keep a project from an update that works."""
    extras = setup_cfg["options.extras_require"].values()
    mandatory = setup_cfg["options"]["install_requires"]
    for requirement in [line for text in (mandatory, *extras) for line in _lines(text)]:
        own_extras = rf"{NAME}\[[a-z,]+\]"
        assert re.fullmatch(rf"[\w.-]+(\[\w+\])?>=[\d.]+|{own_extras}", requirement), requirement


def test_only_django_and_requests_are_mandatory():
    """Whatever else is used is an extra."""
    mandatory = [line for line in metadata.requires(NAME) if "extra ==" not in line]

    assert ["Django", "requests"] == sorted(re.match(r"\w+", line)[0] for line in mandatory)


def test_the_lowest_python_is_the_same_everywhere(setup_cfg, pyproject):
    """Installer, linters and classifiers start at one version."""
    lowest = _versions(setup_cfg, "Programming Language :: Python")[0]

    assert f">={lowest}" == setup_cfg["options"]["python_requires"]
    assert f"py{lowest.replace('.', '')}" == pyproject["tool"]["ruff"]["target-version"]
    assert lowest == pyproject["tool"]["mypy"]["python_version"]


def test_the_lowest_django_is_the_first_classifier(setup_cfg):
    """The classifiers start where the bound does."""
    assert _versions(setup_cfg, "Framework :: Django")[0] == _bound(setup_cfg, "Django")


def test_every_promised_version_is_tested(setup_cfg, tox):
    """Each Python and each Django of the classifiers is a part of tox's matrix."""
    pythons = {version.replace(".", "") for version in re.findall(r"py(\d+)-", tox)}
    djangos = set(re.findall(r"django(\d+): Django>=", tox))

    assert {v.replace(".", "") for v in _versions(setup_cfg, "Framework :: Django")} == djangos
    assert {
        v.replace(".", "") for v in _versions(setup_cfg, "Programming Language :: Python")
    } == pythons


def test_the_lowest_versions_are_tested(setup_cfg, tox):
    """One cell has the lower bounds themselves, of all that a project has at run time."""
    extras = setup_cfg["options.extras_require"]
    mandatory = setup_cfg["options"]["install_requires"]
    texts = (mandatory, extras["embed"], extras["env"], extras["rest"])
    bounds = {line.replace(">=", "==") for text in texts for line in _lines(text)}

    tested = set(re.findall(r"lowest: (\S+)", tox))
    assert bounds == {each for each in tested if not each.startswith("urllib3")}


def test_the_pytest_plugin_can_be_loaded():
    """The entry point names a module that exists."""
    (entry,) = [e for e in metadata.entry_points(group="pytest11") if e.dist.name == NAME]

    assert entry.load() is import_module("embedworkflow_django.pytest_plugin")


def test_the_package_is_typed():
    """Type checkers read the package's own hints."""
    assert (Path(embedworkflow_django.__file__).parent / "py.typed").is_file()
