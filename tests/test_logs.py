"""Logs: the fields of a record are those that the documentation promises."""

from __future__ import annotations

import ast
import logging
import uuid
from pathlib import Path

import pytest

import embedworkflow_django
from embedworkflow_django.models import Execution
from embedworkflow_django.pauses import Pauses

from .logs import LOGGER, promised
from .wire import answer, executed, serving

PACKAGE = Path(embedworkflow_django.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture
def everything():
    """The logger says all that it has to say."""
    logger = logging.getLogger(LOGGER)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(before)


def calls_of_a_logger(path):
    """Yield what a module has its logger say, as it stands in its source."""
    for call in ast.walk(ast.parse(path.read_text())):
        said = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        if said.startswith("logger.") and said != "logger.isEnabledFor":
            yield call


def event_names(path):
    """Yield what a module says as ``event_name``, in a dict or as a keyword."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict) and node.keys and node.keys[0] is not None:
            if ast.unparse(node.keys[0]) == "'event_name'":
                yield ast.literal_eval(node.values[0])
        elif isinstance(node, ast.keyword) and node.arg == "event_name":
            yield ast.literal_eval(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_record_goes_without_fields(path):
    """Whoever calls the logger hands over ``extra``."""
    assert all("extra" in {w.arg for w in call.keywords} for call in calls_of_a_logger(path))


def test_every_kind_of_record_is_promised_and_every_promise_kept():
    """The documentation's table names what the source says, each once."""
    assert sorted(promised()) == sorted(name for path in MODULES for name in event_names(path))


def test_the_fields_of_an_execution_are_those_of_its_row():
    """They are enough to find it: its key, where it lives, and whose it is."""
    row = Execution(workflow="bake", account="eu")
    row._state.db = "default"

    assert {
        "execution_id": str(row.pk),
        "workflow": "bake",
        "account": "eu",
        "database": "default",
    } == row.log_fields


@pytest.mark.django_db(transaction=True)
def test_a_day_in_the_life_of_an_execution_is_told(river, log_watch, everything):
    """Refused, let in and delivered, asked after without news, and with a word never heard."""
    pauses = Pauses()
    running = executed(status="running")
    word = uuid.uuid4().hex
    with serving(answer(401, {}), running, running, executed(status=word)) as wire:
        river.configure(BASE_URL=wire.base_url)
        river.execute()
        river.work(pauses=pauses)
        pauses._pauses["default"].until = 0.0
        for _ in range(3):
            river.work(pauses=pauses)
            river.make_due()

    assert "unknown" == river.row().status
    assert {
        "account_paused",
        "account_resumed",
        "execution_recorded",
        "status_unheard",
    } == log_watch.seen
