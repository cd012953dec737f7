"""The sandbox goes wrong on demand: which calls meet a fault, and what the caller sees of it."""

from __future__ import annotations

import email.utils
import socket
import struct
import threading
import time

import pytest
import requests

from embedworkflow_django.sandbox import ManualClock, Sandbox, UnknownFaultError

from .sandbox_calls import NOON, Caller, in_process, wait_until


@pytest.fixture
def sandbox():
    """Return a sandbox with one workflow, whose time stands still."""
    sandbox = Sandbox(clock=ManualClock(NOON), seed=7)
    sandbox.add_workflow("one", nodes=[{"id": "mail01", "type": "Email"}])
    return sandbox


@pytest.fixture(params=["in process", "over HTTP"])
def call(request, sandbox):
    """Return a caller in process, and again one over HTTP."""
    if request.param == "in process":
        yield in_process(sandbox)
    else:
        with sandbox:
            caller = Caller(sandbox)
            yield caller
            caller.session.close()


def start(call, **options):
    """Ask for an execution."""
    return call("POST", "/workflows/one/execute", {"id_type": "key"}, **options)


def statuses(call, *paths):
    """Return the statuses of GETs."""
    return [call("GET", path).status_code for path in paths]


# Which calls meet a fault


def test_a_fault_meets_the_next_matching_call_only(sandbox, call):
    """Unless told otherwise a fault is for one call, of any method and path."""
    sandbox.faults.add(503)

    assert [503, 200] == statuses(call, "/workflows", "/workflows")


def test_a_fault_meets_as_many_calls_as_it_says(sandbox):
    """`times` counts down, None is for ever, until it is taken out of force."""
    call = in_process(sandbox)
    sandbox.faults.add("500", times=2)
    assert [500, 500, 200] == statuses(call, *["/workflows"] * 3)

    fault = sandbox.faults.add("500", times=None)
    assert [500] * 5 == statuses(call, *["/workflows"] * 5)
    sandbox.faults.remove(fault)
    assert ([200], 5, []) == (statuses(call, "/workflows"), fault.hits, list(sandbox.faults))


@pytest.mark.parametrize("method", ["POST", "post"])
def test_a_fault_can_be_for_one_method_and_path(sandbox, method):
    """The path below the base is matched as a pattern, the method in any case."""
    call = in_process(sandbox)
    sandbox.faults.add("500", method=method, path="/workflows/*/execute", times=None)

    assert [200, 200] == statuses(call, "/workflows", "/workflows/one?id_type=key")
    assert (500, 404) == (
        start(call).status_code,
        call("POST", "/workflows/one/publish", {}).status_code,
    )


def test_a_fault_can_be_for_one_account(sandbox):
    """Another account's calls pass."""
    eu = in_process(sandbox, key=sandbox.add_account("eu", "sk_test_eu").secret_key)
    sandbox.faults.add("500", account="eu", times=None)

    assert [[200], [500]] == [statuses(call, "/workflows") for call in (in_process(sandbox), eu)]


def test_a_fault_can_let_calls_pass_first(sandbox):
    """`skip` is how many matching calls are answered well before."""
    sandbox.faults.add("500", skip=2)

    assert [200, 200, 500, 200] == statuses(in_process(sandbox), *["/workflows"] * 4)


def test_a_rate_meets_a_share_of_the_calls(sandbox):
    """With a rate and a seed, about that share of the calls fails, the same ones each time."""

    def failed():
        sandbox = Sandbox(frozen=True, seed=1)
        sandbox.faults.add("500", rate=0.3)
        return [s == 500 for s in statuses(in_process(sandbox), *["/workflows"] * 200)]

    first = failed()

    assert 40 < sum(first) < 80
    assert first == failed()


def test_the_first_fault_wins_and_delays_add_up(sandbox):
    """Of faults that end a call the oldest is met; the other waits for the next call."""
    sandbox.faults.add("latency", seconds=0.001)
    sandbox.faults.add("500")
    sandbox.faults.add("502")

    assert [500, 502, 200] == statuses(in_process(sandbox), *["/workflows"] * 3)
    assert [("latency", "500"), ("502",), ()] == [r.faults for r in sandbox.requests]


# What the caller sees


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504, 599]
)
def test_a_status_is_answered_before_the_work(sandbox, call, status):
    """The call fails with a JSON body, and nothing was started."""
    sandbox.faults.add(status)

    answer = start(call)

    assert status == answer.status_code
    assert {"error", "errors"} & set(answer.json())
    assert [] == sandbox.executions


def test_a_status_after_the_work_hides_that_it_was_done(sandbox, call):
    """With `after`, the execution was started although the call failed, and the key replays it."""
    sandbox.faults.add("502", after=True)
    headers = {"Idempotency-Key": "k"}

    assert (502, 201) == (
        start(call, headers=headers).status_code,
        start(call, headers=headers).status_code,
    )
    assert 1 == len(sandbox.executions)


@pytest.mark.parametrize(("given", "sent"), [(7, "7"), ("soon", "soon"), ("date:x", "date:x")])
def test_retry_after_is_sent_as_given(sandbox, call, given, sent):
    """Seconds and nonsense alike."""
    sandbox.faults.add("429", retry_after=given)

    assert sent == start(call).headers["Retry-After"]


def test_retry_after_can_be_a_date(sandbox):
    """`date:60` is an HTTP date one minute from the caller's now."""
    sandbox.faults.add("503", retry_after="date:60")

    text = start(in_process(sandbox)).headers["Retry-After"]

    assert text.endswith(" GMT")
    moment = email.utils.parsedate_to_datetime(text).timestamp()
    assert 50 < moment - time.time() <= 60


def test_no_retry_after_without_being_asked(sandbox):
    """A 503 may come without the header."""
    sandbox.faults.add("503")

    assert "Retry-After" not in start(in_process(sandbox)).headers


def test_a_lost_answer_times_out_although_the_work_was_done(sandbox, call):
    """The caller's read times out; the execution exists, and the log shows no status."""
    sandbox.faults.add("lost")

    with pytest.raises(requests.ReadTimeout):
        start(call, timeout=(5, 0.1))

    wait_until(lambda: [e.id for e in sandbox.executions] == [sandbox.requests[0].execution_id])
    assert [None] == [received.status for received in sandbox.requests]


@pytest.mark.parametrize(("after", "started"), [(False, 0), (True, 1)])
def test_a_reset_connection(sandbox, call, after, started):
    """The connection is reset before the work, or with `after` once it is done."""
    sandbox.faults.add("reset", after=after)

    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        start(call)

    assert started == len(sandbox.executions)
    assert 201 == start(call).status_code


def test_a_truncated_body(sandbox, call):
    """The work was done, and half of the body arrives."""
    sandbox.faults.add("truncated")

    try:
        response = start(call)
    except requests.exceptions.ChunkedEncodingError:
        pass
    else:  # By urllib3 1.26, which does not count.
        assert len(response.content) < int(response.headers["Content-Length"])

    assert 1 == len(sandbox.executions)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("refused", requests.ConnectionError), ("connect_timeout", requests.ConnectTimeout)],
)
def test_no_connection_comes_about(sandbox, kind, error):
    """In process, the errors of a connection that was never made can be had too."""
    sandbox.faults.add(kind)

    with pytest.raises(error):
        start(in_process(sandbox))

    assert [] == sandbox.executions


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("html", b"<!doctype html>"),
        ("non_object", b'["not", "an", "object"]'),
        ("garbage", b'{"id": "0198\xff'),
        ("oversized", b'{"filler":"xxx'),
    ],
)
def test_a_body_that_is_not_what_it_should_be(sandbox, call, kind, seen):
    """The status is that of the work, which was done; the body is not."""
    sandbox.faults.add(kind, size=1000)

    answer = start(call)

    assert (201, True) == (answer.status_code, answer.content.startswith(seen))
    assert 1 == len(sandbox.executions)


def test_an_html_page_says_so_and_can_have_a_status(sandbox, call):
    """A proxy's page comes with its own status and content type."""
    sandbox.faults.add("html", status=502)

    answer = start(call)

    assert (502, "text/html; charset=utf-8") == (
        answer.status_code,
        answer.headers["Content-Type"],
    )


def test_an_oversized_body_is_as_large_as_asked(sandbox):
    """`size` is the number of bytes, and the body is valid JSON."""
    sandbox.faults.add("oversized", size=5000)

    answer = start(in_process(sandbox))

    assert (5000, {"filler"}) == (len(answer.content), set(answer.json()))


def test_an_empty_body(sandbox, call):
    """A 2xx without a body."""
    sandbox.faults.add("empty")

    answer = start(call)

    assert (201, b"", "0") == (
        answer.status_code,
        answer.content,
        answer.headers["Content-Length"],
    )


def test_a_status_never_heard_and_a_strangers_id(sandbox, call):
    """Single properties of the real answer can be wrong."""
    sandbox.faults.add("unknown_status")
    sandbox.faults.add("wrong_id")
    first, second = start(call).json(), start(call).json()
    [real, other] = sandbox.executions

    assert (real.id, "marinating") == (first["id"], first["status"])
    assert "running" == second["status"]
    assert other.id != second["id"]


def test_a_wrong_property_in_an_empty_or_a_list_answer_changes_nothing(sandbox):
    """An error of the work itself is spoiled like any other answer."""
    sandbox.faults.add("unknown_status")

    assert {"error": "not found", "status": "marinating"} == in_process(sandbox)(
        "GET", "/nowhere"
    ).json()


def test_a_redirect(sandbox, call):
    """Redirects point to another host, and the work is not done."""
    sandbox.faults.add("redirect", location="https://elsewhere.invalid/x")

    answer = start(call, allow_redirects=False)

    assert (302, "https://elsewhere.invalid/x") == (
        answer.status_code,
        answer.headers["Location"],
    )
    assert [] == sandbox.executions


@pytest.mark.parametrize("after", [False, True])
def test_latency_beyond_patience_is_a_timeout_although_the_work_is_done(sandbox, call, after):
    """The caller gives up; the server does not know and works all the same."""
    sandbox.faults.add("latency", seconds=0.3, after=after)

    with pytest.raises(requests.ReadTimeout):
        start(call, timeout=(5, 0.05))

    wait_until(lambda: len(sandbox.executions) == 1)
    assert ("latency",) == sandbox.requests[0].faults
    assert 201 == start(call).status_code


def test_latency_over_http_really_waits(sandbox):
    """Over HTTP an answer comes as much later as it says, even if the sandbox's time stands."""
    sandbox.faults.add("latency", seconds=0.05)
    with sandbox:
        call = Caller(sandbox)
        began = time.monotonic()
        assert 201 == start(call).status_code
        call.session.close()

    assert time.monotonic() - began >= 0.05


def test_in_process_nobody_waits_while_time_stands_still(sandbox):
    """A latency within the caller's patience costs a test nothing."""
    sandbox.faults.add("latency", seconds=5)
    sandbox.faults.add("slow", seconds=4)
    began = time.monotonic()

    assert 201 == start(in_process(sandbox)).status_code
    assert time.monotonic() - began < 4


def test_slow_work_can_be_ended_by_an_event(sandbox):
    """`until` ends the work before its seconds are over, and `met` tells that it has begun."""
    release = threading.Event()
    fault = sandbox.faults.add("slow", seconds=20, until=release)
    thread = threading.Thread(target=lambda: start(in_process(sandbox)))
    thread.start()
    assert fault.met.wait(10)
    before = len(sandbox.executions)
    release.set()
    thread.join(10)

    assert (0, 1) == (before, len(sandbox.executions))


def test_a_reset_reaches_the_wire_as_rst(sandbox):
    """Over HTTP the peer's socket fails with a reset, and does not just end."""
    sandbox.faults.add("reset")
    with sandbox:
        host, port = sandbox.base_url.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /api/v1/workflows HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_a_lost_answer_ends_with_its_seconds(sandbox):
    """When the seconds are over, the connection ends without an answer."""
    sandbox.faults.add("lost", seconds=0.01)
    with sandbox:
        call = Caller(sandbox)
        with pytest.raises(requests.ConnectionError, match="without response"):
            start(call)
        call.session.close()


def test_a_caller_that_hangs_up_is_not_waited_for(sandbox):
    """A lost answer holds the connection only as long as the caller does."""
    fault = sandbox.faults.add("lost")
    with sandbox:
        host, port = sandbox.base_url.split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"GET /api/v1/workflows HTTP/1.1\r\nHost: x\r\n\r\n")
            assert fault.met.wait(10)
        call = Caller(sandbox)
        assert 201 == start(call).status_code
        call.session.close()


# Faults in words


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("503", {"kind": "503", "times": 1}),
        ("lost,rate=0.05", {"kind": "lost", "rate": 0.05, "times": None}),
        (
            "429, times=2, method=post, path=/workflows/*/execute, retry_after=date:30",
            {
                "times": 2,
                "method": "POST",
                "path": "/workflows/*/execute",
                "retry_after": "date:30",
            },
        ),
        ("500,times=all,after=true,skip=3", {"times": None, "after": True, "skip": 3}),
        ("html,status=502,account=eu", {"status": 502, "account": "eu"}),
        ("latency,seconds=1.5", {"seconds": 1.5}),
        ("oversized,size=10", {"size": 10}),
        ("redirect,location=http://x/", {"location": "http://x/"}),
    ],
)
def test_a_fault_can_be_written_in_words(sandbox, spec, expected):
    """`kind,option=value` says on the command line what `add` says in Python."""
    fault = sandbox.faults.add_spec(spec)

    assert expected == {name: getattr(fault, name) for name in expected}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("tired", '"tired" is no fault. Use a status from 100 to 599, or connect_timeout, empty'),
        ("99", '"99" is no fault.'),
        ("600", '"600" is no fault.'),
        ("500,often", '"often" in "500,often" is no option. Write option=value, with one of'),
        ("500,mood=bad", '"mood=bad" in "500,mood=bad" is no option.'),
        (
            "500,times=many",
            '"many" in "500,times=many" is no value for times. Write 1, 2 … or all.',
        ),
        ("500,times=0", '"0" in "500,times=0" is no value for times.'),
        ("503,rate=20", '"20" in "503,rate=20" is no value for rate. Write a number from 0 to 1.'),
        ("503,rate=nan", '"nan" in "503,rate=nan" is no value for rate.'),
        ("500,after=x", '"x" in "500,after=x" is no value for after. Write true or false.'),
        ("500,skip=-1", '"-1" in "500,skip=-1" is no value for skip. Write a whole number.'),
        ("latency,seconds=-1", '"-1" in "latency,seconds=-1" is no value for seconds.'),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox, spec, sentence):
    """The error names the offender and what could be written in its place."""
    with pytest.raises(UnknownFaultError) as caught:
        sandbox.faults.add_spec(spec)

    assert str(caught.value).startswith(sentence)


def test_an_option_that_does_not_exist_is_refused(sandbox):
    """From Python too the error names the option and all that there are."""
    with pytest.raises(UnknownFaultError, match=r'no option "sometimes"\. Use account, after'):
        sandbox.faults.add("500", sometimes=True)
