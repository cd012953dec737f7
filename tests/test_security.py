"""Security, walked: what the API says stays text, the key stays hidden, and no host is called.

The other walls have files of their own: each right of the admin in ``test_admin_permissions``, of
REST in ``test_rest``, and what is redacted in ``test_redaction``.
"""

from __future__ import annotations

import ast
import copy
import logging
import pickle
import re
import socket
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests
from django.contrib import admin
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.dispatch import Signal
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter
from requests.adapters import BaseAdapter

import embedworkflow_django
from embedworkflow_django import conf, connections, embed, exceptions, services, triggers
from embedworkflow_django.keys import uuid7
from embedworkflow_django.models import Execution, ExecutionEvent, Job, Tally, WorkerProcess
from embedworkflow_django.sandbox import Sandbox, outgoing
from embedworkflow_django.worker import Worker

from . import wire
from .declared import declaring
from .faults import EVERY_FAULT, PATIENT

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk_test_never_to_be_seen_anywhere"
ID = wire.EXECUTION["id"]
SCRIPT = "<script>alert(1)</script>"
ESCAPES = "\x1b[31m\x07\r\nForged: line\x9b2J\u202e"
SAYS = f"{KEY} {SCRIPT} {ESCAPES}"
PACKAGE = Path(embedworkflow_django.__file__).parent


@pytest.fixture
def at(settings):
    """Return what points the settings at a base URL."""

    def point(base_url, timeout=PATIENT):
        settings.EMBEDWORKFLOW = {
            "SECRET_KEY": KEY,
            "BASE_URL": base_url,
            "DISPATCHER": "worker",
            "TIMEOUT": timeout,
            "LEASE": 20,
        }

    return point


def stored():
    """Return everything that is stored, as text."""
    rows = [
        row
        for model in (Execution, ExecutionEvent, Tally, WorkerProcess)
        for row in model.objects.all()
    ]
    return serializers.serialize("json", rows)


def pages(client):
    """Return what the admin shows of all executions to somebody who may see everything."""
    client.force_login(User.objects.create_superuser("root"))
    urls = [reverse("admin:embedworkflow_execution_changelist")]
    urls += [
        reverse("admin:embedworkflow_execution_change", args=[row.pk])
        for row in Execution.objects.all()
    ]
    return [client.get(url).content.decode() for url in urls]


def locals_of(error):
    """Return what a collector of errors shows: the locals of each frame, mappings walked."""
    shown = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith(str(PACKAGE)):
                shown += [_shown(value) for value in frame.f_locals.values()]
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


def _shown(value, depth=0):
    if isinstance(value, Mapping) and depth < 4:
        return "\n".join(f"{name}: {_shown(item, depth + 1)}" for name, item in value.items())
    if isinstance(value, list | tuple) and depth < 4:
        return "\n".join(_shown(item, depth + 1) for item in value)
    return value if isinstance(value, str) else repr(value)


# The secret key


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_after_no_fault_the_key_shows(fault, at, monkeypatch, caplog):
    """Neither in what is logged and stored, nor in an error, its page with DEBUG, or its locals."""
    caplog.set_level(logging.DEBUG)
    services.execute("bake")
    with fault.serving(monkeypatch) as base_url:
        at(base_url, fault.timeout)
        Worker(aliases=["default"], concurrency=1).run_until_idle()
        with pytest.raises(exceptions.EmbedWorkflowError) as caught:
            _execute()

    reporter = ExceptionReporter(RequestFactory().get("/"), caught.type, caught.value, caught.tb)
    texts = [
        caplog.text,
        stored(),
        str(caught.value),
        repr(caught.value),
        repr(vars(caught.value)),
        locals_of(caught.value),
        reporter.get_traceback_html(),
        reporter.get_traceback_text(),
    ]
    assert [] == [text for text in texts if KEY in text]


def _execute():
    remote = connections.client().execute_workflow("bake")
    # An answer that the client takes and delivery refuses.
    raise exceptions.InvalidAnswer(repr(remote.id))


MISTAKES = {
    "an unknown account": {"SECRET_KEY": KEY},
    "a setting that cannot be read": {"SECRET_KEY": KEY, "USER_KEY": 5},
    "one of another account": {"SECRET_KEY": KEY, "ACCOUNTS": {"eu": {"TIMEOUT": 0}}},
    "an account without a key": {"ACCOUNTS": {"eu": {"SECRET_KEY": KEY}, "us": {}}},
    "an alias that no column takes": {"ACCOUNTS": {"eu\n": {"SECRET_KEY": KEY}}},
    "accounts that are none": {"ACCOUNTS": {"eu": {"SECRET_KEY": KEY}, "us": None}},
    "a key in a wrong type": {"SECRET_KEY": KEY.encode()},
    "a key with a line's end": {"SECRET_KEY": f"{KEY}\n"},
    "keys that were swapped": {"SECRET_KEY": "pk_test_1", "PUBLISHABLE_KEY": KEY},
    "data beyond the limit": {"SECRET_KEY": KEY, "MAX_DATA_SIZE": 1},
}


@pytest.mark.parametrize("written", MISTAKES.values(), ids=MISTAKES)
def test_after_no_mistake_in_the_settings_the_key_shows(written, settings, caplog):
    """Neither in the error, nor in its page with DEBUG, nor in the locals of our frames."""
    settings.EMBEDWORKFLOW = written
    execute = partial(services.execute, "bake", {"n": 1})
    attempts = [partial(execute, account=alias) for alias in ("default", "eu", "us")]
    attempts += [partial(connections.client, alias) for alias in ("default", "eu", "us")]
    attempts += [partial(embed.user_jwt, "ada", account=alias) for alias in ("default", "eu", "us")]
    attempts += [partial(embed.publishable_key, alias) for alias in ("default", "eu", "us")]
    errors = list(filter(None, map(error_of, attempts)))

    assert errors
    for error in errors:
        about = type(error), error, error.__traceback__
        reporter = ExceptionReporter(RequestFactory().get("/"), *about)
        shown = [str(error), locals_of(error), reporter.get_traceback_html(), caplog.text]
        assert [] == [text for text in shown if KEY in text]


@pytest.mark.parametrize(
    "written", [[("SECRET_KEY", KEY)], {"ACCOUNTS": {f"{KEY}\n": {}}}], ids=["no dict", "alias"]
)
def test_a_key_in_a_place_that_django_would_show_is_not_shown_by_us(written, settings):
    """Its page with DEBUG lists the settings, and hides what is named like a secret only."""
    settings.EMBEDWORKFLOW = written
    error = error_of(partial(services.execute, "bake"))

    assert KEY not in f"{error!r}{locals_of(error)}"


def error_of(attempt):
    """Return the error of ours that an attempt ends with, if it does."""
    try:
        attempt()
    except (conf.ConfigurationError, exceptions.EmbedWorkflowError) as error:
        return error
    return None


class Recorder(BaseAdapter):
    """Keeps the request that it was to send."""

    def send(self, request, **kwargs):
        """Send nothing."""
        self.request = request
        raise requests.ConnectionError("not sent")

    def close(self):
        """Have nothing to close."""


def test_what_holds_the_key_is_neither_pickled_nor_copied(settings):
    """Not the account, nor the client, nor the request that it signs; nor do they show it."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY}
    recorder = Recorder()
    with connections.mounted(conf.account().base_url, recorder):
        client = connections.client()
        with pytest.raises(exceptions.APIError):
            client.execute_workflow("bake")
        header = recorder.request.headers["Authorization"]
        assert header == f"Bearer {KEY}"
        for holder in (conf.account(), client, header):
            with pytest.raises(TypeError):
                pickle.dumps(holder)
            with pytest.raises(TypeError):
                copy.deepcopy(holder)
            assert KEY not in repr(holder)
        with pytest.raises(TypeError):
            pickle.dumps(recorder.request)
        assert KEY not in repr(recorder.request.headers)


HOSTILE = {
    "an error": wire.answer(422, {"error": SAYS}),
    "an error without JSON": wire.answer(500, SAYS.encode()),
    "a refused key": wire.answer(401, {"message": SAYS}),
    "headers": (
        b"HTTP/1.1 503 Planned\r\nX-Request-Id: " + KEY.encode() + b" \x1b[31m<script>alert(1)"
        b"</script>\r\nRetry-After: \x1b[31m\r\nContent-Type: \x1b]0;x\x07\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
    "a redirect": (
        b"HTTP/1.1 302 Planned\r\nLocation: http://x.invalid/\x1b[31m" + KEY.encode() + b"\r\n"
        b"Content-Length: 0\r\n\r\n"
    ),
    "garbage": wire.answer(201, SAYS.encode(), Content_Type="text/\x1b[31mhtml"),
    "an id": wire.executed(id=f"\x1b[31m{SCRIPT}"),
    "the key as an id": wire.executed(id=f"\x1b[31m{KEY}"),
    "the key in a success": wire.executed(
        status=KEY, hashid=KEY, name=KEY, log={KEY: KEY}, stats={"a": {"status": KEY}}, more=[KEY]
    ),
    "a success": wire.executed(
        status=f"{SCRIPT}{ESCAPES}",
        hashid=SCRIPT,
        name=f"{SCRIPT}{ESCAPES}",
        log={SCRIPT: f"{SCRIPT}{ESCAPES}"},
        stats={SCRIPT: {"status": SCRIPT, "run_at": SCRIPT}, "a->b": {SCRIPT: 1}},
        template={
            "nodes": [{"id": "a", "name": SCRIPT, "type": SCRIPT, "description": SCRIPT}],
            "edges": [{"source": "a", "target": SCRIPT}],
        },
        more={SCRIPT: SCRIPT},
    ),
}


@pytest.mark.parametrize("plan", HOSTILE.values(), ids=HOSTILE)
def test_what_the_api_says_reaches_no_log_and_no_page_unescaped(plan, at, client, caplog):
    """No line break or terminal escape in a log, no markup in a page; and no key in either."""
    caplog.set_level(logging.DEBUG, logger="embedworkflow_django")
    services.execute("bake")
    with wire.serving(plan) as server:
        at(server.base_url)
        Worker(aliases=["default"], concurrency=1).run_until_idle()
        shown = pages(client)

    lines = [record.getMessage() for record in caplog.records]
    assert [] == [line for line in lines if not line.isprintable()]
    assert [] == [page for page in shown if SCRIPT in page]
    assert [] == [text for text in [*lines, *shown, stored()] if KEY in text and "bake" in text]
    row = Execution.objects.get()
    assert row.last_error.isprintable()


def test_hostile_data_reaches_no_page_as_markup(at, client):
    """What callers hand over is shown as text too: data, keys, workflows, users."""
    services.execute(f"w{SCRIPT}", {SCRIPT: SCRIPT}, user_key=SCRIPT, idempotency_key=f"k{SCRIPT}")

    assert [] == [page for page in pages(client) if SCRIPT in page]


def test_what_callers_say_reaches_no_log_unescaped(at, caplog):
    """A workflow's name may hold what turns a line of the log round, or begins another one."""
    caplog.set_level(logging.DEBUG, logger="embedworkflow_django")
    services.execute("bake\u2028Forged\u202e")
    with wire.serving(wire.executed(status="completed")) as server:
        at(server.base_url)
        Worker(aliases=["default"], concurrency=1).run_until_idle()

    lines = [record.getMessage() for record in caplog.records]
    assert any("bake\\u2028Forged\\u202e" in line for line in lines)
    assert [] == [line for line in lines if not line.isprintable()]


def test_what_the_api_says_reaches_no_terminal_unescaped(at, monkeypatch, capsys):
    """The name of a workflow is printed by ``embedworkflow_check``."""
    name = f"\x1b]0;x\x07\nFAILED\u202e{'x' * 9_999}"
    plans = wire.answer(200, {"collection": []}), wire.answer(200, {"id": ID, "name": name})
    with wire.serving(*plans) as server, declaring():
        monkeypatch.setattr(triggers, "registry", {})
        triggers.trigger(Signal(), sender=None, workflow="bake")(lambda instance, **kwargs: None)
        at(server.base_url)
        call_command("embedworkflow_check")

    shown = capsys.readouterr().out
    assert 2 == len(shown.splitlines())
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown) < 1000


def test_an_hours_tally_reaches_no_terminal_unescaped(capsys):
    """A workflow's name is printed by ``embedworkflow_status``."""
    Tally.objects.create(
        id=uuid7(),
        hour=timezone.now(),
        account="default",
        workflow="bake\u2028Forged\u202e",
        status="completed",
        from_queue=False,
        count=1,
    )
    call_command("embedworkflow_status", database=["default"])

    shown = capsys.readouterr().out
    assert "bake\\u2028Forged\\u202e" in shown
    assert all(line.isprintable() for line in shown.split("\n"))


EVIL = "\"'><img src=x onerror=alert(1)></script></textarea></title>{{ 7 }}"


class Tags(HTMLParser):
    """Finds what no page of ours has: images, scripts in attributes, links to elsewhere."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """Look at an element."""
        given = dict(attrs)
        if tag == "img" and not given["src"].startswith("/static/"):
            self.found.append(tag)
        links = [given.get(name) or "/" for name in ("href", "src", "action", "formaction")]
        self.found += [name for name in given if name.startswith("on")]
        self.found += [link for link in links if re.match(r"\s*(//|[a-z]+:)", link, re.IGNORECASE)]


def test_no_page_takes_data_for_markup(client, settings):
    """Whatever row and column it comes from, on each page and in each answer of the admin."""
    alias = EVIL[:100]
    settings.EMBEDWORKFLOW = {"SECRET_KEY": KEY, "ACCOUNTS": {alias: {"SECRET_KEY": KEY}}}
    client.force_login(User.objects.create_superuser(f"root{EVIL}"))
    rows, now = [_evil_execution(status) for status in Execution.Status.values], timezone.now()
    for status in Execution.Status.values:
        told = {"account": alias, "workflow": EVIL, "trigger": EVIL, "last_error": EVIL}
        Tally.objects.create(id=uuid7(), hour=now, status=status, from_queue=True, count=1, **told)
    paused = {EVIL: {"kind": "refused", "reason": EVIL, "until": None}}
    WorkerProcess.objects.create(name=EVIL, dispatcher=EVIL, concurrency=1, pauses=paused)
    outcomes = [{"reason": EVIL}, {"execution": str(rows[0].pk), "reason": EVIL}]
    about = {"filters": {"q": EVIL, "workflow": EVIL, "statuses": [EVIL]}, "newest": rows[0].pk}
    job = Job.objects.create(verb="cancel", by=EVIL, outcomes=outcomes, **about)
    ids = ",".join(str(row.pk) for row in [*rows, job])
    queries = {
        "embedworkflow_execution_changelist": {"q": EVIL, "workflow": EVIL, "account": EVIL},
        "embedworkflow_execution_live_rows": {"ids": ids},
        "embedworkflow_job_live_rows": {"ids": ids},
    }

    shown = {}
    for name, arguments in admin_urls():
        for key in ([job] if "_job_" in name else rows) if arguments else [job]:
            url = reverse(f"admin:{name}", kwargs=dict.fromkeys(arguments, str(key.pk)))
            shown[name, "get", key] = client.get(url, queries.get(name), follow=True).text
            shown[name, "post", key] = client.post(url, follow=True).text

    assert 100 < len(shown)
    assert {} == {name: found for name, page in shown.items() if (found := Tags(page).found)}
    assert any("&lt;img src=x" in page for page in shown.values())


def _evil_execution(status):
    data = {EVIL: EVIL, "headers": f"{EVIL}: 1", "nodes": [{"id": EVIL, "name": EVIL}]}
    texts = ("workflow", "user_key", "trigger", "last_error", "name", "key", "source_id")
    execution = Execution.objects.create(
        status=status,
        account=EVIL[:100],
        remote_id=f"{status}{EVIL}"[:64],
        idempotency_key=f"{status}{EVIL}",
        source_type=f"a.{EVIL}",
        remote_status=EVIL[:64],
        stats={EVIL: {"status": EVIL}},
        **dict.fromkeys(texts, EVIL),
        **dict.fromkeys(("execution_data", "log", "template", "raw"), data),
    )
    for source in ExecutionEvent.Source.values:
        detail = {"verb": EVIL, "by": EVIL, "error": EVIL, EVIL: EVIL}
        execution.events.create(status=status, source=source, detail=detail)
    return execution


# No other host


@pytest.mark.parametrize("status", [200, 201, 300, 301, 302, 303, 305, 307, 308])
def test_no_answer_has_another_host_called(status, at):
    """Neither a redirect nor a link in a head or a body is followed, by a POST or a GET."""
    with wire.serving(wire.executed()) as other:
        links = {
            "Location": other.base_url,
            "Refresh": f"0; url={other.base_url}",
            "Content_Location": other.base_url,
            "Link": f"<{other.base_url}>; rel=next",
            "Alt_Svc": f'h1="127.0.0.1:{other.port}"',
        }
        body = {"id": ID, "status": "running", "url": other.base_url, "next": other.base_url}
        with wire.serving(wire.answer(status, body, **links)) as server:
            at(server.base_url)
            services.execute("bake")
            Worker(aliases=["default"]).run_until_idle()
            Execution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
            Worker(aliases=["default"]).run_until_idle()

        assert server.requests
        assert 0 == other.connections


def test_the_sandbox_listens_to_this_machine_only():
    """Nobody else reaches it, unless it is told so."""
    with Sandbox() as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("127.0.0.2:8765", 200),
        ("[::1]:8765", 200),
        ("LOCALHOST", 200),
        ("shop.localhost:1", 200),
        ("shop.test", 200),
        ("host.docker.internal:8765", 200),
        ("sandbox:8765", 200),
        ("rebound.example.com", 421),
        ("rebound.example.com.:8765", 421),
        ("127.0.0.1.example.com:8765", 421),
        ("localhost.example.com", 421),
        ("test.example.com:8765", 421),
        ("[::1", 421),
    ],
)
def test_the_sandbox_does_not_answer_to_a_strangers_name(name, status):
    """A web page whose own name leads to this machine reads nothing here, and starts nothing."""
    with Sandbox(frozen=True) as sandbox:
        sandbox.add_workflow("one")
        called = partial(_called, sandbox, Host=name, Authorization=f"Bearer {sandbox.secret_key}")
        answers = [
            called("GET", "/workflows"),
            called("POST", "/workflows/one/execute", json={"id_type": "key"}),
        ]

    assert [status, 201 if status == 200 else status] == [each.status_code for each in answers]
    assert (status == 200) == bool(sandbox.executions)


def test_the_sandbox_answers_to_any_name_with_a_certificate_of_it():
    """No page has a certificate of ours, so a name that leads to this machine is its owner's."""
    with Sandbox(frozen=True, certificate=str(wire.CERTIFICATE)) as sandbox:
        bearer = f"Bearer {sandbox.secret_key}"
        answer = _called(sandbox, "GET", "/workflows", Host="api.example.com", Authorization=bearer)

    assert 200 == answer.status_code


def _called(sandbox, method, path, json=None, **headers):
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(wire.CERTIFICATE)
        url = sandbox.base_url + path
        return session.request(method, url, json=json, headers=headers, timeout=10)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_the_sandbox_lets_no_other_site_in(method):
    """A page cannot read an answer, nor send the key along: no origin is ever named."""
    with Sandbox(frozen=True) as sandbox:
        headers = {
            "Origin": "https://example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = _called(sandbox, method, "/workflows", **headers)

    assert 401 == answer.status_code
    assert [] == [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]],
    ids=["one", "the first", "the second"],
)
def test_a_webhook_of_the_sandbox_is_not_led_elsewhere(monkeypatch, found):
    """A name is looked up once: a second answer, with another machine's address, is never asked."""
    lookups = []

    def look_up(host, *args, real=socket.getaddrinfo, **kwargs):
        if host != "rebound.example.com":
            return real(host, *args, **kwargs)
        lookups.append(host)
        addresses = found if len(lookups) == 1 else ["192.0.2.1"]
        return [info for address in addresses for info in real(address, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with wire.serving(wire.answer(200, {"a": 1})) as server:
        url = server.base_url.replace("127.0.0.1", "rebound.example.com")
        received = outgoing.Caller((), 1.0).call(outgoing.OutgoingCall(url=url))

    assert {"a": 1} == received.json
    assert 1 == len(lookups)
    assert f"rebound.example.com:{server.port}" == server.request.headers["host"]


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1", "0x7f.0.0.1"])
def test_a_webhook_of_the_sandbox_may_call_this_machine_by_any_name(host):
    """What leads to loopback is loopback, however it is written."""
    with wire.serving(wire.answer(200, {"a": 1})) as server:
        call = outgoing.OutgoingCall(url=f"http://{host}:{server.port}/")
        assert {"a": 1} == outgoing.Caller((), 1.0).call(call).json


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://3221225985/",
        "http://0300.0.2.1/",
        "http://[::ffff:c000:201]/",
        "http://[fe80::1]/",
        "http://[::ffff:192.0.2.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//192.0.2.1/",
    ],
)
def test_a_webhook_of_the_sandbox_calls_this_machine_only(url):
    """A node's URL comes with a workflow; it leads no further than loopback."""
    call = outgoing.OutgoingCall(url=url, method="POST", headers={}, body=b"{}")
    with pytest.raises(outgoing.CallError, match=r"^(Refused: |The URL .* does not start)"):
        outgoing.Caller((), 1.0).call(call)


# No code from data


def test_nothing_is_unpickled_and_no_text_becomes_code():
    """No module of the package imports or calls what turns data into code."""
    risky = {"pickle", "dill", "marshal", "shelve", "cPickle", "joblib", "yaml", "jsonpickle"}
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]] if not node.level else []
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id] if node.func.id in {"eval", "exec", "compile"} else []
                found += [f"{path.name}: {name}" for name in names]
            found += [f"{path.name}: {name}" for name in names if name in risky]

    assert [] == found
    assert "pickle" in sys.modules  # It is at hand, and not used.


# Every URL


def admin_urls():
    """Return every URL of the package in the admin, with an execution's id where one is asked."""
    found = []
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "embedworkflow":
            continue
        for pattern in model_admin.get_urls():
            if pattern.name is None:
                continue
            names = pattern.pattern.regex.groupindex
            found.append((pattern.name, tuple(names)))
    return found


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("rights", ["anonymous", "staff without rights"])
def test_every_url_of_the_admin_asks_for_a_right(client, method, rights):
    """Whatever pages there will be: without a right there is nothing to see or to press."""
    row = Execution.objects.create(workflow="w")
    if rights != "anonymous":
        client.force_login(User.objects.create_user("staff", is_staff=True))
    urls = [
        reverse(f"admin:{name}", kwargs=dict.fromkeys(arguments, str(row.pk)))
        for name, arguments in admin_urls()
    ]
    answers = {url: getattr(client, method)(url).status_code for url in urls}

    assert 5 < len(answers)
    refusal = 302 if rights == "anonymous" else 403
    assert {} == {url: status for url, status in answers.items() if status not in {refusal, 405}}
    assert [row.status] == list(Execution.objects.values_list("status", flat=True))
