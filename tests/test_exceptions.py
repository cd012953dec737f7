"""The error tree: what each error says of itself, and what may be done next."""

from __future__ import annotations

import inspect
import pickle
import re
import subprocess
import sys

import pytest

from embedworkflow_django import exceptions

CLASSES = [
    each
    for _, each in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(each, exceptions.EmbedWorkflowError)
]
API_ERRORS = [each for each in CLASSES if issubclass(each, exceptions.APIError)]
FLAGS = ("retryable", "ambiguous", "account_fault", "gone")


def flags(kind):
    """Return the names of the flags that a class raises."""
    return {flag for flag in FLAGS if getattr(kind, flag)}


def test_every_error_stands_in_the_tree_that_the_docstring_draws():
    """The module's docstring names every class below the one that it inherits from."""
    drawn = {}
    stack = []
    for line in exceptions.__doc__.partition("Whoever")[0].splitlines():
        if found := re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)\b", line):
            depth = (found.start(2) - 4) // 4
            stack[depth:] = [found[2]]
            drawn[found[2]] = stack[depth - 1] if depth else "Exception"

    assert drawn == {each.__name__: each.__base__.__name__ for each in CLASSES}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (exceptions.APIError, set()),
        (exceptions.NotSent, {"retryable"}),
        (exceptions.AnswerLost, {"retryable", "ambiguous"}),
        (exceptions.InvalidAnswer, {"retryable", "ambiguous"}),
        (exceptions.UnexpectedRedirect, set()),
        (exceptions.BadRequest, set()),
        (exceptions.AuthenticationError, {"account_fault"}),
        (exceptions.PermissionDenied, {"account_fault"}),
        (exceptions.NotFound, {"gone"}),
        (exceptions.RequestTimeout, {"retryable", "ambiguous"}),
        (exceptions.Conflict, {"retryable", "ambiguous"}),
        (exceptions.Gone, {"gone"}),
        (exceptions.UnprocessableEntity, set()),
        (exceptions.TooEarly, {"retryable"}),
        (exceptions.RateLimited, {"retryable"}),
        (exceptions.RequestRejected, set()),
        (exceptions.ServiceUnavailable, {"retryable"}),
        (exceptions.ServerError, {"retryable", "ambiguous"}),
    ],
)
def test_each_error_says_what_may_be_done_next(kind, expected):
    """The verdict is the error's own: nobody needs its status code."""
    assert flags(kind) == expected


def test_no_verdict_is_missing_from_the_table_above():
    """Every kind of APIError has its verdict tested."""
    marker = test_each_error_says_what_may_be_done_next.pytestmark[0]

    assert {kind for kind, _ in marker.args[1]} == set(API_ERRORS)


def test_an_unusable_execution_is_what_callers_already_catch():
    """Bad input is a ValueError, and data that no JSON carries a TypeError besides."""
    assert issubclass(exceptions.InvalidExecution, ValueError)
    assert issubclass(exceptions.UnencodableData, TypeError)
    assert not issubclass(exceptions.APIError, ValueError)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_docstring_is_the_message_where_none_is_given(kind):
    """An error without words of its own says the first sentence of its docstring."""
    assert str(kind()) == kind.__doc__.partition("\n")[0]


def test_an_error_has_a_message_even_where_docstrings_are_stripped():
    """Under ``python -OO`` the name of the class stands in for its docstring."""
    code = "from embedworkflow_django import exceptions; print(exceptions.NotSent())"
    run = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "NotSent"


def test_the_message_tells_what_happened_where_and_under_which_request_id():
    """The sentence holds method, path, status, the API's words and the request id."""
    error = exceptions.NotFound(
        "no such workflow", method="GET", path="/workflows/1", status_code=404, request_id="r-1"
    )

    assert str(error) == "GET /workflows/1: 404 no such workflow (request id r-1)"
    assert error.message == "no such workflow"


@pytest.mark.parametrize("kind", API_ERRORS)
def test_an_api_error_survives_pickling(kind):
    """An error that crosses a process boundary keeps its class and all that it knows."""
    error = kind(
        "words",
        method="POST",
        path="/trigger",
        status_code=418,
        request_id="r-1",
        body="{}",
        retry_after=1.5,
    )
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_unencodable_data_names_the_path_and_survives_pickling():
    """The place of the offender inside the data is an attribute of its own."""
    error = exceptions.UnencodableData("A set is not JSON.", path='data["lines"][2]')
    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), copy.path) == ("A set is not JSON.", 'data["lines"][2]')


@pytest.mark.parametrize(
    "hostile",
    ["a\r\nINFO forged", "a\x00b", "a\x1b[31mred", "a\u202eb", "a\u2028b", "a\x85b", "a\ud800b"],
)
def test_what_a_server_says_cannot_forge_a_line_of_the_log(hostile):
    """Control characters, line ends and lone surrogates are escaped wherever they come in."""
    error = exceptions.BadRequest(
        hostile, method="GET", path=f"/x{hostile}", request_id=hostile, body=hostile
    )

    for text in (str(error), error.message, error.request_id, error.path, *error.args):
        assert text.isprintable()
        assert text.encode()
    assert error.body.replace("\n", "").isprintable()


def test_words_of_other_languages_stay_readable():
    """Only what cannot be printed is escaped."""
    assert exceptions.BadRequest("Não é válido 🙂").message == "Não é válido 🙂"


def test_what_an_error_keeps_is_bounded():
    """A server that talks for ever fills neither the log nor the database."""
    error = exceptions.ServerError(
        "\n" + "é" * 10_000, body="\x00" * 10_000, request_id="\x01" * 10_000
    )

    assert len(error.message) == exceptions.MAX_MESSAGE
    assert len(error.body) == exceptions.MAX_BODY
    assert len(error.request_id) == exceptions.MAX_MESSAGE
