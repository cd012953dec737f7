"""One call over a real wire: what is sent, what each failure becomes, and that the key never shows.

The servers are real, and do what no polite server does: they reset, drip, truncate and lie.
"""

from __future__ import annotations

import contextlib
import email.utils
import errno
import gc
import gzip
import http.client
import io
import json
import logging
import os
import pickle
import socket
import threading
import time
import traceback
import uuid
from types import MappingProxyType

import pytest
import requests

import embedworkflow_django
from embedworkflow_django import exceptions
from embedworkflow_django.client import Client, answers
from embedworkflow_django.client.connection import TimedReader

from . import wire

KEY = "sk_test_never_to_be_seen"
ID = wire.EXECUTION["id"]
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Keep the proxies and certificates of the machine out of the tests."""
    for name in (*PROXIES, "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    """Return a server that starts executions until it is told otherwise."""
    with wire.serving(wire.executed()) as serving:
        yield serving


@pytest.fixture
def make():
    """Return a factory of clients that are closed in the end."""
    clients = []

    def _make(base_url, **options):
        options = {"timeout": (2.0, 5.0), "secret_key": KEY} | options
        clients.append(Client(base_url=base_url, **options))
        return clients[-1]

    yield _make
    for client in clients:
        client.close()


def failure(call, *arguments, **options):
    """Return the APIError that a call ends in."""
    with pytest.raises(exceptions.APIError) as caught:
        call(*arguments, **options)
    return caught.value


def closed_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# What is sent


def test_a_call_is_signed_typed_and_introduces_itself(server, make):
    """Each request carries the key, JSON, the idempotency key and a User-Agent."""
    make(server.base_url).execute_workflow("w", execution_data={"é": 1}, idempotency_key="k 1")

    headers = server.request.headers
    version = embedworkflow_django.__version__
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["idempotency-key"] == "k 1"
    assert headers["user-agent"] == (
        f"embedworkflow-django/{version} python-requests/{requests.__version__}"
    )
    assert server.request.body == '{"execution_data":{"é":1}}'.encode()


def test_the_idempotency_header_can_be_renamed(server, make):
    """The documentation does not show the header's name, so it is an option."""
    make(server.base_url, idempotency_header="X-Once").execute_workflow("w", idempotency_key="k")

    assert server.request.headers["x-once"] == "k"
    assert "idempotency-key" not in server.request.headers


def test_no_idempotency_header_is_sent_unless_a_key_is_given(server, make):
    """Without a key the API sees none."""
    make(server.base_url).execute_workflow("w")

    assert "idempotency-key" not in server.request.headers


@pytest.mark.parametrize("key", ["", " k", "k ", "k\n", "ключ", "k" * 256, "a\tb", 7])
def test_an_idempotency_key_that_no_header_carries_is_refused(server, make, key):
    """Only 1 to 255 printable ASCII characters are sent."""
    with pytest.raises(ValueError, match="idempotency_key"):
        make(server.base_url).execute_workflow("w", idempotency_key=key)

    assert server.requests == []


@pytest.mark.parametrize("key", ["k", "k" * 255, "life-ever", "a b", "!~"])
def test_an_idempotency_key_is_sent_as_it_is(server, make, key):
    """Whatever a header can carry arrives unchanged."""
    make(server.base_url).execute_workflow("w", idempotency_key=key)

    assert server.request.headers["idempotency-key"] == key


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("a/b", "a%2Fb"),
        ("../../users", "..%2F..%2Fusers"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a b", "a%20b"),
        ("é🙂", "%C3%A9%F0%9F%99%82"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        (uuid.UUID(ID), ID),
    ],
)
def test_an_identifier_stays_one_segment_of_the_path(server, make, identifier, path):
    """Each segment is percent-encoded, so that no identifier can reach another endpoint."""
    make(server.base_url).execute_workflow(identifier)

    assert server.request.target == f"/api/v1/workflows/{path}/execute"


@pytest.mark.parametrize("identifier", ["", ".", "..", "a\n", "\x00", "a\x7f", "\ud800", None, 7])
def test_an_identifier_that_no_path_can_carry_is_refused(server, make, identifier):
    """What a server or a proxy would read as something else is never sent."""
    with pytest.raises(ValueError, match="identifier"):
        make(server.base_url).execute_workflow(identifier)

    assert server.requests == []


@pytest.mark.parametrize(
    "data",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": {1, 2}}, {"a": {("b", 1)}}, {"a": "\ud800"}],
)
def test_a_body_that_is_no_json_is_refused(server, make, data):
    """What JSON cannot carry raises before anything is sent."""
    with pytest.raises(exceptions.UnencodableData, match="cannot be written as JSON"):
        make(server.base_url).execute_workflow("w", execution_data=data)

    assert server.requests == []


def test_a_mapping_of_any_kind_is_an_object(server, make):
    """Wherever the client asks for a mapping, it need not be a dict."""
    client = make(server.base_url)
    frozen = MappingProxyType({"a": MappingProxyType({"b": 1})})
    client.execute_workflow("w", execution_data=frozen)
    client.update_action_type("a", frozen)

    assert [request.json for request in server.requests] == [
        {"execution_data": {"a": {"b": 1}}},
        {"a": {"b": 1}},
    ]


def test_a_body_that_contains_itself_is_refused(server, make):
    """A circle has no JSON."""
    data = {}
    data["data"] = data
    with pytest.raises(exceptions.UnencodableData):
        make(server.base_url).execute_workflow("w", execution_data=data)


def test_netrc_does_not_replace_the_key(server, make, monkeypatch, tmp_path):
    """A password that ``.netrc`` holds for the host is not sent in place of the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    make(server.base_url).execute_workflow("w")

    assert server.request.headers["authorization"] == f"Bearer {KEY}"


def test_a_cookie_is_not_sent_back(server, make):
    """Nothing that one answer sets travels with the next request."""
    server.plan(wire.answer(201, wire.EXECUTION, Set_Cookie="a=b"))
    client = make(server.base_url)
    client.execute_workflow("w")
    client.execute_workflow("w")

    assert "cookie" not in server.requests[1].headers


# Connections


def test_one_thread_keeps_one_connection(server, make):
    """Calls of one thread share a connection, whatever they end in."""
    server.plan(wire.executed(), wire.answer(404, {"error": "x"}), wire.executed())
    client = make(server.base_url)
    client.execute_workflow("w")
    failure(client.execute_workflow, "w")
    client.execute_workflow("w")

    assert {request.connection for request in server.requests} == {1}


def test_a_connection_that_the_server_closed_is_replaced(server, make):
    """An idle connection that was closed meanwhile costs a new one, not the call."""
    server.plan(wire.Close(wire.executed()), wire.executed())
    client = make(server.base_url)
    client.execute_workflow("w")
    assert server.ended.acquire(timeout=5)
    client.execute_workflow("w")

    assert [request.connection for request in server.requests] == [1, 2]


def test_each_thread_has_its_own_connection_and_takes_it_along(server, make):
    """The session of a thread that has ended is dropped, and its socket closed."""
    client = make(server.base_url)
    client.execute_workflow("w")
    thread = threading.Thread(target=client.execute_workflow, args=("w",))
    thread.start()
    thread.join()
    gc.collect()

    assert {request.connection for request in server.requests} == {1, 2}
    assert server.ended.acquire(timeout=5)
    client.execute_workflow("w")
    assert server.requests[-1].connection == 1


def test_closing_hangs_up_and_a_later_call_connects_anew(server, make):
    """``close`` lets go of every thread's connection; the client stays usable."""
    with make(server.base_url) as client:
        client.execute_workflow("w")
    assert server.ended.acquire(timeout=5)
    client.execute_workflow("w")

    assert [request.connection for request in server.requests] == [1, 2]


def test_a_forked_child_leaves_the_connection_of_its_parent_alone(server, make):
    """After a fork the child connects anew, for two processes on one socket would mix answers."""
    client = make(server.base_url)
    client.execute_workflow("w")
    child = os.fork()
    if not child:
        try:
            client.execute_workflow("w")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    client.execute_workflow("w")

    assert [request.connection for request in server.requests] == [1, 2, 1]


def test_the_environments_proxy_is_used(server, make, monkeypatch):
    """A proxy that the environment names gets the request with its whole URL."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    make("http://api.invalid/v1").execute_workflow("w")

    assert server.request.target == "http://api.invalid/v1/workflows/w/execute"


def test_a_socks_proxy_keeps_its_own_connections(make, monkeypatch):
    """Without the library that speaks SOCKS the call was surely not sent."""
    monkeypatch.setenv("http_proxy", f"socks5://127.0.0.1:{closed_port()}")
    error = failure(make("http://api.invalid/v1").execute_workflow, "w")

    assert isinstance(error, exceptions.NotSent)


def test_an_adapter_of_the_callers_own_serves_its_prefix(server, make):
    """``adapters`` are mounted as requests does: the longest prefix wins."""
    adapter = requests.adapters.HTTPAdapter()
    client = make(server.base_url, adapters={server.base_url: adapter})
    client.execute_workflow("w")

    assert adapter.poolmanager.pools.keys()
    adapter.close()


# Answers that are errors

STATUSES = {
    300: exceptions.UnexpectedRedirect,
    303: exceptions.UnexpectedRedirect,
    307: exceptions.UnexpectedRedirect,
    400: exceptions.BadRequest,
    401: exceptions.AuthenticationError,
    402: exceptions.RequestRejected,
    403: exceptions.PermissionDenied,
    404: exceptions.NotFound,
    405: exceptions.RequestRejected,
    407: exceptions.NotSent,
    408: exceptions.RequestTimeout,
    409: exceptions.Conflict,
    410: exceptions.Gone,
    413: exceptions.RequestRejected,
    422: exceptions.UnprocessableEntity,
    425: exceptions.TooEarly,
    429: exceptions.RateLimited,
    451: exceptions.RequestRejected,
    500: exceptions.ServerError,
    501: exceptions.ServerError,
    502: exceptions.ServerError,
    503: exceptions.ServiceUnavailable,
    504: exceptions.ServerError,
    599: exceptions.ServerError,
    600: exceptions.InvalidAnswer,
    999: exceptions.InvalidAnswer,
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_each_status_becomes_its_class(server, make, status, kind):
    """The class follows from the status, and the error knows where it came from."""
    server.plan(wire.answer(status, {"error": "words"}, X_Request_Id="r-1"))
    error = failure(make(server.base_url).execute_workflow, "w")

    assert type(error) is kind
    assert (error.status_code, error.message, error.request_id) == (status, "words", "r-1")
    assert (error.method, error.path) == ("POST", "/workflows/w/execute")
    assert json.loads(error.body) == {"error": "words"}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "not found"}, "not found"),
        ({"errors": {"name": ["can't be blank", "is bad"]}}, "name: can't be blank; is bad"),
        ({"errors": ["one", "two", 3]}, "one; two"),
        ({"message": "later", "error": None}, "later"),
        ({"error": {"message": "nested"}}, "nested"),
        ({"error": {"code": "x1", "detail": "why"}}, "code: x1; detail: why"),
        ({"message": "m", "errors": "s", "error": "e"}, "e"),
        ({"detail": "elsewhere"}, "detail: elsewhere"),
        (b'"just a string"', "just a string"),
        ({"status": 404}, "The API knows no such object."),
        ([], "The API knows no such object."),
        (b"", "The API knows no such object."),
        (b"7", "The API knows no such object."),
        (b"<html>404</html>", "The API knows no such object."),
        (b"\xff\xfe", "The API knows no such object."),
        (b"[" * 900 + b"]" * 900, "The API knows no such object."),
        (b"[" * 100_000, "The API knows no such object."),
    ],
)
def test_an_error_speaks_the_apis_words_in_whatever_shape(server, make, body, words):
    """``error``, ``errors`` and ``message`` are looked for, and none of them is needed."""
    server.plan(wire.answer(404, body))

    assert failure(make(server.base_url).execute_workflow, "w").message == words


def test_a_redirect_is_never_followed(server, make):
    """The key is not taken to another host; the error says where it would have gone."""
    with wire.serving(wire.executed()) as elsewhere:
        location = f"{elsewhere.base_url}/x?token=1"
        server.plan(wire.answer(302, b"", Location=location))
        error = failure(make(server.base_url).execute_workflow, "w")

    assert elsewhere.requests == []
    assert isinstance(error, exceptions.UnexpectedRedirect)
    assert error.message == f"The API redirects to {elsewhere.base_url}/x"


@pytest.mark.parametrize(
    "plan",
    [
        wire.Close(b"HTTP/1.1 404 X\r\nContent-Length: 100\r\n\r\nhalf"),
        wire.Drip(b"HTTP/1.1 404 X\r\nContent-Length: 500\r\n\r\n", b"." * 500),
        wire.answer(404, b"x" * 5_000),
    ],
)
def test_a_status_counts_although_its_body_does_not_arrive(server, make, plan):
    """What the status says is not made worse by a body that breaks off, drips or is too long."""
    server.plan(plan)
    client = make(server.base_url, timeout=(0.5, 0.5), max_answer_size=1_000)

    assert type(failure(client.execute_workflow, "w")) is exceptions.NotFound


def test_retry_after_reaches_the_error(server, make):
    """The seconds that the API asks to wait are the error's."""
    server.plan(wire.answer(429, b"", Retry_After="7"))

    assert failure(make(server.base_url).execute_workflow, "w").retry_after == 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("12 13", None),
        ("٣", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-5", 0.0),
        ("9" * 400, answers.MAX_RETRY_AFTER),
        ("86401", answers.MAX_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 2915 07:28:00 GMT", answers.MAX_RETRY_AFTER),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value, seconds):
    """Seconds and dates count, the past is now, nonsense is nothing, and a day is the most."""
    assert answers.parse_retry_after(value) == seconds


def test_a_date_in_retry_after_counts_from_now():
    """A date in a minute asks to wait for a minute."""
    date = email.utils.formatdate(time.time() + 60, usegmt=True)

    assert answers.parse_retry_after(date) == pytest.approx(60, abs=2)


# Calls that were surely not sent


def test_a_refused_connection_was_not_sent(make):
    """Nobody listens: the call may be repeated without a thought."""
    host = f"127.0.0.1:{closed_port()}"
    error = failure(make(f"http://{host}").execute_workflow, "w")
    words = f"{host}: Failed to establish a new connection: [Errno {errno.ECONNREFUSED}] "

    assert type(error) is exceptions.NotSent
    assert error.message.startswith(f"The request was surely not received: {words}")
    assert str(error) == f"POST /workflows/w/execute: {error.message}"
    assert error.status_code is None


def test_a_host_without_an_address_was_not_sent(make):
    """A name that does not resolve is no reason to doubt."""
    assert type(failure(make("http://nowhere.invalid").execute_workflow, "w")) is exceptions.NotSent


def test_a_connection_that_takes_too_long_was_not_sent(make):
    """A full queue of connections ends in the connect timeout."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        client = make(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=(0.2, 5))
        error = failure(client.execute_workflow, "w")

    assert type(error) is exceptions.NotSent
    assert "received: Connection to 127.0.0.1 timed out" in error.message


def test_a_certificate_that_is_not_trusted_was_not_sent(make):
    """A failed handshake comes before the request."""
    with wire.serving(wire.executed(), context=wire.tls()) as server:
        error = failure(make(server.base_url).execute_workflow, "w")

    assert type(error) is exceptions.NotSent
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert server.requests == []


def test_a_server_without_tls_was_not_sent(make, server):
    """Plain http on the port of https is a failed handshake."""
    error = failure(make(server.base_url.replace("http:", "https:")).execute_workflow, "w")

    assert type(error) is exceptions.NotSent


def test_a_reset_within_the_handshake_was_not_sent(make):
    """A server that hangs up before the handshake is done has seen no request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up():
            connection, _ = listener.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        client = make(f"https://127.0.0.1:{listener.getsockname()[1]}")
        error = failure(client.execute_workflow, "w")
        thread.join()

    assert type(error) is exceptions.NotSent


def test_missing_certificates_were_not_sent(make, monkeypatch):
    """A bundle that does not exist stops the call before it starts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")

    assert type(failure(make("https://127.0.0.1:1").execute_workflow, "w")) is exceptions.NotSent


def test_a_bundle_of_the_environment_is_trusted(make, monkeypatch):
    """``REQUESTS_CA_BUNDLE`` works as it does with requests."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wire.CERTIFICATE))
    with wire.serving(wire.executed(), context=wire.tls()) as server:
        assert make(server.base_url).execute_workflow("w").id == ID


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached_was_not_sent(make, monkeypatch, scheme):
    """The request came no further than this machine."""
    monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{closed_port()}")
    error = failure(make(f"{scheme}://api.invalid").execute_workflow, "w")

    assert type(error) is exceptions.NotSent


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_was_not_sent(make, monkeypatch, server, scheme):
    """A proxy that asks for a password has passed nothing on."""
    server.plan(wire.answer(407, b""))
    monkeypatch.setenv(f"{scheme}_proxy", f"http://eve:proxypass@127.0.0.1:{server.port}")
    error = failure(make(f"{scheme}://api.invalid").execute_workflow, "w")

    assert type(error) is exceptions.NotSent
    assert "proxypass" not in str(error)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://eve:proxypass/@127.0.0.1:1",
        "http://eve:proxypass#@127.0.0.1:1",
        "http://eve:proxypass@127.0.0.1:99999",
        "http://eve:proxypass@",
        "ftp://eve:proxypass@127.0.0.1:1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_an_impossible_url_was_not_sent(make, monkeypatch, scheme, proxy):
    """The error says where it stands, and nothing of its password."""
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    error = failure(make(f"{scheme}://api.invalid").execute_workflow, "w")

    assert type(error) is exceptions.NotSent
    assert "the environment's proxy" in str(error)
    assert "proxypass" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("broken", "words"),
    [(requests.RequestException("broken"), "broken"), (OSError(), "OSError")],
)
def test_a_failure_of_an_unknown_kind_leaves_the_answer_lost(server, make, broken, words):
    """An adapter that fails in a way of its own leaves it open whether anything was sent."""

    class Broken(requests.adapters.BaseAdapter):
        def send(self, *arguments, **options):
            raise broken

    client = make(server.base_url, adapters={server.base_url: Broken()})
    error = failure(client.execute_workflow, "w")

    assert type(error) is exceptions.AnswerLost
    assert error.message.endswith(f"but its answer was lost: {words}")


# Calls whose answer is lost


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(wire.Silence(), id="silence"),
        pytest.param(wire.Reset(), id="reset"),
        pytest.param(wire.Close(), id="closed without a word"),
        pytest.param(wire.Close(b"HTTP/1.1 2"), id="closed within the status line"),
        pytest.param(wire.Close(b"SMTP ready\r\n\r\n"), id="no HTTP"),
        pytest.param(wire.Close(b"HTTP/1.1 201 X\r\n" + b"a: b\r\n" * 200), id="endless headers"),
        pytest.param(
            wire.Close(b"HTTP/1.1 201 X\r\nContent-Length: 5, 6\r\n\r\n{}"), id="two lengths"
        ),
        pytest.param(wire.Drip(b"", wire.executed()), id="dripping head"),
        pytest.param(wire.Drip(b"HTTP/1.1 201 X\r\n", b"X-Y: z\r\n" * 40), id="dripping headers"),
        pytest.param(
            wire.Drip(b"HTTP/1.1 201 X\r\nContent-Length: 900\r\n\r\n{", b" " * 899),
            id="dripping body",
        ),
        pytest.param(
            wire.Drip(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 99),
            id="dripping chunks",
        ),
        pytest.param(wire.Drip(b"HTTP/1.1 201 X\r\n\r\n", b" " * 900), id="dripping to the end"),
    ],
)
def test_an_answer_that_does_not_arrive_is_lost(server, make, plan):
    """The request was received; an answer that is slow, cut or missing hides its fate."""
    server.plan(plan)
    client = make(server.base_url, timeout=(0.5, 0.5))
    begun = time.monotonic()
    error = failure(client.execute_workflow, "w")

    assert type(error) is exceptions.AnswerLost
    assert time.monotonic() - begun < 2.0
    assert len(server.requests) == 1


@pytest.mark.parametrize("plan", [wire.Reset(), wire.Close()], ids=["reset", "closed"])
def test_a_proxy_that_hangs_up_after_the_request_loses_the_answer(make, monkeypatch, plan):
    """What it was sent, it may have passed on."""
    with wire.serving(plan) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        error = failure(make("http://api.invalid").execute_workflow, "w")

        assert type(error) is exceptions.AnswerLost
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("plan", [wire.Reset(), wire.Close()], ids=["reset", "closed"])
def test_a_tunnel_that_ends_after_the_request_loses_the_answer(make, monkeypatch, plan):
    """The server at its other end has received the request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wire.CERTIFICATE))
    with (
        wire.serving(wire.executed(), plan, context=wire.tls()) as server,
        wire.tunnelling(server.port) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy}")
        client = make(server.base_url)
        assert client.execute_workflow("w").id == ID
        error = failure(client.execute_workflow, "w")
        client.close()

        assert type(error) is exceptions.AnswerLost
        assert len(server.requests) == 2


def test_an_answer_that_comes_in_pieces_but_in_time_arrives(server, make):
    """Slowness within the limit is no fault."""
    whole = wire.executed()
    server.plan(wire.Drip(whole[:-10], whole[-10:], gap=0.01))

    assert make(server.base_url).execute_workflow("w").id == ID


def test_a_foreign_adapter_cannot_outlive_the_deadline(server, make):
    """The sum of both timeouts bounds a call even over an adapter that knows no limit."""
    server.plan(
        wire.Drip(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 99)
    )

    class Whole(requests.adapters.HTTPAdapter):
        def send(self, request, stream=False, **options):
            response = super().send(request, stream, **options)
            if not stream:
                _ = response.content
            return response

    adapter = Whole()
    client = make(server.base_url, timeout=(0.3, 0.3), adapters={"http://": adapter})
    begun = time.monotonic()
    error = failure(client.execute_workflow, "w")
    adapter.close()

    assert type(error) is exceptions.AnswerLost
    assert "longer than 0.6 s" in str(error)
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    ("broken", "kind"),
    [(TimeoutError("late"), exceptions.AnswerLost), (OSError("cut"), exceptions.InvalidAnswer)],
)
def test_a_foreign_adapters_answer_may_break_off_in_its_own_way(server, make, broken, kind):
    """Its errors need not be those of urllib3."""

    class Body(io.BytesIO):
        def read(self, size=-1):
            raise broken

    class Foreign(requests.adapters.BaseAdapter):
        def send(self, *arguments, **options):
            response = requests.Response()
            response.status_code, response.raw = 201, Body()
            return response

        def close(self):
            pass

    error = failure(make(server.base_url, adapters={"http://": Foreign()}).execute_workflow, "w")

    assert type(error) is kind
    assert error.message == f"The answer broke off: {broken}"


def test_tls_that_breaks_after_the_request_loses_the_answer(make, monkeypatch):
    """Once the handshake is done, a TLS error no longer proves that nothing was sent."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wire.CERTIFICATE))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def garble():
            connection, _ = listener.accept()
            plain = connection.dup()
            secure = wire.tls().wrap_socket(connection, server_side=True)
            secure.recv(65_536)
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
            time.sleep(0.1)
            secure.close()
            plain.close()

        thread = threading.Thread(target=garble)
        thread.start()
        client = make(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        error = failure(client.execute_workflow, "w")
        thread.join()

    assert type(error) is exceptions.AnswerLost


# Answers that make no sense


def encoded(content, encoding):
    """Plan a success with a Content-Encoding."""
    return wire.answer(201, content, Content_Encoding=encoding)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        pytest.param(wire.answer(201, b""), "empty", id="empty"),
        pytest.param(wire.answer(201, b" \n"), "empty", id="blank"),
        pytest.param(b"HTTP/1.1 204 X\r\n\r\n", "empty", id="204"),
        pytest.param(
            wire.answer(201, b"<html>", Content_Type="text/html"), "but text/html", id="html"
        ),
        pytest.param(wire.answer(201, b'{"id": "x"'), "not JSON", id="cut JSON"),
        pytest.param(wire.answer(201, b'{"id": "x"} {}'), "not JSON", id="two values"),
        pytest.param(wire.answer(201, []), "not a JSON object", id="list"),
        pytest.param(wire.answer(201, b'"id"'), "not a JSON object", id="string"),
        pytest.param(wire.answer(201, b"null"), "empty", id="null"),
        pytest.param(wire.answer(201, b'{"id":"x","a":NaN}'), "NaN", id="NaN"),
        pytest.param(wire.answer(201, b'{"id":"x","a":-Infinity}'), "-Infinity", id="infinity"),
        pytest.param(wire.answer(201, b'{"id":"x","a":1e999}'), "1e999", id="too large"),
        pytest.param(
            wire.answer(201, b'{"id":"x","a":' + b"9" * 5_000 + b"}"), "not JSON", id="digits"
        ),
        pytest.param(wire.answer(201, b"[" * 100_000), "not JSON", id="too deep"),
        pytest.param(wire.answer(201, b'{"id":"\xff"}'), "not JSON", id="not UTF-8"),
        pytest.param(encoded(b'{"id":"x"}', "gzip"), "broke off", id="no gzip"),
        pytest.param(
            encoded(gzip.compress(b'{"id":"x"}')[:-12], "gzip"), "not JSON", id="cut gzip"
        ),
        pytest.param(encoded(gzip.compress(b'{"id":"x"}'), "rot13"), "not JSON", id="encoding"),
        pytest.param(wire.answer(201, {"id": None}), "no 'id'", id="null id"),
        pytest.param(wire.answer(201, {"id": 7}), "no 'id'", id="number id"),
        pytest.param(wire.answer(201, {"id": ""}), "no 'id'", id="empty id"),
        pytest.param(wire.answer(201, {"hashid": "6opb4"}), "no 'id'", id="no id"),
        pytest.param(
            wire.Close(b'HTTP/1.1 201 X\r\nContent-Length: 99\r\n\r\n{"id":"x"}'),
            "broke off",
            id="truncated",
        ),
        pytest.param(
            wire.Close(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"),
            "broke off",
            id="truncated chunk",
        ),
        pytest.param(
            wire.Close(b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}"),
            "broke off",
            id="no chunk",
        ),
        pytest.param(
            wire.Reset(b"HTTP/1.1 201 X\r\nContent-Length: 99\r\n\r\n{"), "broke off", id="reset"
        ),
        pytest.param(wire.answer(201, b"x" * 1_001), "larger than 1000 bytes", id="oversized"),
        pytest.param(
            encoded(gzip.compress(b" " * 50_000_000), "gzip"), "larger than 1000", id="bomb"
        ),
        pytest.param(wire.answer(103, b"{}"), "makes no sense", id="103"),
    ],
)
def test_a_success_that_makes_no_sense_is_an_invalid_answer(server, make, plan, words):
    """It may well have happened, so it is ambiguous, and the error tells what was wrong."""
    server.plan(plan)
    client = make(server.base_url, max_answer_size=1_000)
    if words == "not JSON":
        client = make(server.base_url)
    error = failure(client.execute_workflow, "w")

    assert type(error) is exceptions.InvalidAnswer
    assert words in error.message
    assert error.ambiguous


def test_an_answer_as_large_as_the_limit_is_read(server, make):
    """The limit is the largest size that is taken."""
    size = len(json.dumps(wire.EXECUTION))

    assert make(server.base_url, max_answer_size=size).execute_workflow("w").id == ID


@pytest.mark.parametrize(
    ("length", "words"),
    [("-1", "a chunk has a negative length"), ("-2", "broke off"), ("f" * 30, "broke off")],
)
def test_a_chunk_without_end_is_not_read_to_its_end(server, make, length, words):
    """A length of -1 means all that comes to whoever trusts it, however much that is."""
    head = f"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n{length}\r\n".encode()
    server.plan(wire.Close(head + b"x" * 100_000))
    error = failure(make(server.base_url).execute_workflow, "w")

    assert type(error) is exceptions.InvalidAnswer
    assert words in error.message


def test_after_a_bad_answer_the_next_call_works(server, make):
    """A connection with half an answer in it is thrown away."""
    server.plan(
        wire.answer(201, b"x" * 100_000),
        wire.Drip(b"HTTP/1.1 201 X\r\nContent-Length: 400\r\n\r\n{", b" " * 399, gap=0.01),
        wire.executed(),
    )
    client = make(server.base_url, max_answer_size=1_000, timeout=(0.5, 0.5))
    failure(client.execute_workflow, "w")
    failure(client.execute_workflow, "w")

    assert client.execute_workflow("w").id == ID


@pytest.mark.parametrize(
    "plan",
    [
        encoded(gzip.compress(json.dumps(wire.EXECUTION).encode()), "gzip"),
        wire.answer(200, b"\xef\xbb\xbf" + json.dumps(wire.EXECUTION).encode()),
        wire.answer(201, wire.EXECUTION, Content_Type=None),
        wire.executed(score=1.5e3),
        wire.answer(201, wire.EXECUTION, Content_Type="text/plain"),
        wire.Close(b"HTTP/1.0 201 X\r\n\r\n" + json.dumps(wire.EXECUTION).encode()),
        b"HTTP/1.1 100 Continue\r\n\r\n" + wire.executed(),
    ],
)
def test_an_unusual_but_whole_answer_is_understood(server, make, plan):
    """Compression, a byte order mark, another media type or an older HTTP do no harm."""
    server.plan(plan)

    assert make(server.base_url).execute_workflow("w").id == ID


# The key

PLANS = {
    "401 that repeats it": wire.answer(401, {"error": f"bad key {KEY}"}, X_Request_Id=KEY),
    "redirect that repeats it": wire.answer(302, b"", Location=f"http://x.invalid/{KEY}"),
    "garbage that repeats it": wire.answer(201, f"<html>{KEY}".encode()),
    "object that repeats it": wire.answer(201, {"key": KEY}),
    "status line that repeats it": wire.Close(f"{KEY}\r\n\r\n".encode()),
    "chunk that repeats it": wire.Close(
        f"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode()
    ),
    "reset": wire.Reset(),
    "silence": wire.Silence(),
    "truncated": wire.Close(b"HTTP/1.1 201 X\r\nContent-Length: 99\r\n\r\n{"),
}


@pytest.fixture
def loud_wire(monkeypatch, capsys):
    """Let ``http.client`` print what it sends, and return what reads the prints."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    return capsys.readouterr


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_key_shows_in_no_error(server, make, plan, caplog, loud_wire):
    """Neither text, traceback with locals, pickle nor debug output of a failure holds the key."""
    caplog.set_level(logging.DEBUG)
    server.plan(plan)
    client = make(server.base_url, timeout=(0.3, 0.3))
    error = failure(client.execute_workflow, "w", idempotency_key="k")
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    everything = [str(error), repr(error), shown, caplog.text, *loud_wire()]
    everything += [repr(vars(error)), repr(client), repr(vars(client)), repr(error.__context__)]

    assert [text for text in everything if KEY in text] == []
    assert KEY.encode() not in pickle.dumps(error)
    assert "Starting new HTTP connection" in caplog.text


def test_the_key_shows_in_no_error_without_an_answer(make, caplog):
    """A call that was never sent tells as little."""
    caplog.set_level(logging.DEBUG)
    error = failure(make(f"http://127.0.0.1:{closed_port()}").execute_workflow, "w")
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )

    assert KEY not in shown + caplog.text
    assert error.__context__ is None


@pytest.mark.parametrize("plan", [wire.answer(404, b""), wire.Reset()], ids=["404", "reset"])
def test_the_key_shows_in_no_error_although_it_was_given_for_an_identifier(server, make, plan):
    """The path, which each error tells, holds what the caller has mistaken for one."""
    server.plan(plan)
    error = failure(make(server.base_url).execute_workflow, KEY)

    assert error.path == "/workflows/…/execute"
    assert KEY not in f"{error!r}{error}{vars(error)}"


def test_the_key_shows_in_nothing_that_holds_it(server, make):
    """The reprs of the parts do not show it, even in the frame of a foreign failure."""

    class Broken(requests.adapters.BaseAdapter):
        def send(self, request, *arguments, **options):
            headers = dict(request.headers)
            raise ZeroDivisionError(len(headers))

    client = make(server.base_url, adapters={"http://": Broken()})
    with pytest.raises(ZeroDivisionError) as caught:
        client.execute_workflow("w")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert KEY not in "".join(shown.format())


def test_the_key_cannot_be_pickled(server, make):
    """A client does not travel, lest its key does."""
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(make(server.base_url))


def test_a_reader_whose_time_is_up_waits_no_more():
    """Not even for what has arrived meanwhile."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        with TimedReader(ours) as reader:
            time.sleep(0.02)
            theirs.sendall(b"late")
            with pytest.raises(TimeoutError):
                reader.readinto(bytearray(4))


def test_a_reader_gives_each_piece_what_is_left_of_the_time():
    """Or the last one could take as long again as the whole answer may."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        with TimedReader(ours) as reader:
            theirs.sendall(b"ab")
            assert [reader.readinto(bytearray(1)) for _ in range(2)] == [1, 1]
            assert 0 < ours.gettimeout() < 20
