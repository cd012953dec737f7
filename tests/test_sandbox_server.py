"""The sandbox over HTTP: what the wire may look like, many callers at once, and the command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from embedworkflow_django.sandbox import Sandbox, __main__, server

from .sandbox_calls import Caller, wait_until

AUTH = b"Authorization: Bearer sk_test_sandbox\r\n"


@pytest.fixture
def sandbox():
    """Serve a sandbox with one empty workflow, whose time stands still."""
    with Sandbox(frozen=True) as sandbox:
        sandbox.add_workflow("one")
        yield sandbox


@pytest.fixture
def wire(sandbox):
    """Return a function that sends bytes over a new connection and returns all that come back."""
    host, port = sandbox.base_url.split("/")[2].split(":")

    def send(*parts):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            received = b""
            # The sandbox may hang up before it has been sent everything.
            with suppress(OSError):
                for part in parts:
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while more := connection.recv(65_536):
                    received += more
            return received

    return send


def lines(received):
    """Return the status lines of all answers."""
    return [line for line in received.decode("latin-1").split("\r\n") if "HTTP/1.1 " in line]


def test_calls_follow_each_other_on_one_connection(wire):
    """HTTP/1.1 connections are kept alive, also for calls sent in one go, until one asks to end."""
    get = b"GET /api/v1/workflows HTTP/1.1\r\nHost: x\r\n" + AUTH
    received = wire(
        get + b"\r\n" + get + b"\r\n", get + b"Connection: close\r\n\r\n", get + b"\r\n"
    )

    assert 3 == received.count(b"HTTP/1.1 200 OK\r\n")
    assert 1 == received.count(b"Connection: close\r\n")


def test_http_1_0_ends_after_one_answer(wire):
    """An old caller gets one answer and the end of the connection."""
    get = b"GET /api/v1/workflows HTTP/1.0\r\n" + AUTH + b"\r\n"

    assert 1 == wire(get + get).count(b"HTTP/1.1 200 OK\r\n")


def test_a_chunked_body_is_read(wire):
    """Bodies may come in chunks."""
    head = b"POST /api/v1/workflows/one/execute HTTP/1.1\r\n" + AUTH
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b'8;x=y\r\n{"id_typ\r\n9\r\ne":"key"}\r\n0\r\n\r\n'

    assert ["HTTP/1.1 201 Created"] == lines(wire(head, chunks))


def test_chunks_that_do_not_end_are_refused(wire, monkeypatch):
    """Together they may be no longer than a body is allowed to be."""
    monkeypatch.setattr(server, "BODY_LIMIT", 100)
    head = b"POST /api/v1/workflows/one/execute HTTP/1.1\r\n" + AUTH
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunks = (b"3c\r\n" + b" " * 60 + b"\r\n") * 9 + b"0\r\n\r\n"

    assert ["HTTP/1.1 400 Bad Request"] == lines(wire(head, chunks))


def test_a_careful_caller_is_told_to_continue(wire):
    """`Expect: 100-continue` is answered before the body is read."""
    head = b"POST /api/v1/workflows HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 13\r\n"
    head += b"Content-Type: application/json\r\n" + AUTH + b"\r\n"

    assert ["HTTP/1.1 100 Continue", "HTTP/1.1 201 Created"] == lines(wire(head, b'{"name": "a"}'))


def test_an_absolute_target_is_understood(wire):
    """Proxies send the whole URL."""
    get = b"GET http://sandbox:80/api/v1/workflows?limit=1 HTTP/1.1\r\n" + AUTH + b"\r\n"

    assert ["HTTP/1.1 200 OK"] == lines(wire(get))


def test_outside_the_base_nothing_is_found(wire):
    """Only paths below /api/v1 are served."""
    for path in (b"/", b"/api/v2/workflows", b"/api/v1"):
        get = b"GET " + path + b" HTTP/1.1\r\n" + AUTH + b"\r\n"
        assert ["HTTP/1.1 404 Not Found"] == lines(wire(get))


def test_head_has_no_body(wire):
    """An answer to HEAD ends with its headers."""
    received = wire(b"HEAD /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n")

    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.endswith(b"\r\n\r\n")


def test_empty_lines_between_calls_are_forgiven(wire):
    """A stray line break before a call does no harm."""
    get = b"GET /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n"

    assert ["HTTP/1.1 200 OK"] == lines(wire(b"\r\n" + get))


@pytest.mark.parametrize(
    "call",
    [
        b"nonsense\r\n\r\n",
        b"GET /api/v1/workflows HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /api/v1/workflows HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
        b"POST /api/v1/workflows HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["line", "header", "headers", "length", "negative", "huge", "short", "chunk"],
)
def test_what_is_not_http_is_400(wire, call):
    """Garbled calls are answered with 400, and the connection ends."""
    received = wire(call)

    assert ["HTTP/1.1 400 Bad Request"] == lines(received)
    assert b"Connection: close\r\n" in received


def test_a_caller_may_come_and_go_without_a_word(sandbox, wire):
    """A connection that ends before a call leaves the server serving."""
    assert b"" == wire()
    call = Caller(sandbox)
    assert 1 == len(call.get("/workflows")["collection"])
    call.session.close()


def test_a_bug_shows_itself(sandbox, wire, capsys):
    """An unexpected error in the work ends the connection and prints its traceback."""

    class Crash(threading.Event):
        def wait(self, timeout=None):
            raise RuntimeError("this is a bug")

    sandbox.faults.add("slow", until=Crash())

    assert b"" == wire(b"GET /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n")
    assert "this is a bug" in capsys.readouterr().err


def test_a_status_without_a_name_can_be_sent(sandbox, wire):
    """Statuses that nobody has named have a reason phrase all the same."""
    sandbox.faults.add("599")

    received = wire(b"GET /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n")

    assert ["HTTP/1.1 599 Unknown"] == lines(received)


def test_many_callers_at_once_start_as_many_executions(sandbox):
    """Eight threads start 400 executions, each once, each with an id of its own."""

    def work(number):
        call = Caller(sandbox)
        found = [call.execute("one", n=f"{number}-{n}")["id"] for n in range(50)]
        call.session.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        ids = [found for batch in pool.map(work, range(8)) for found in batch]

    assert 400 == len(set(ids)) == len(sandbox.executions)
    assert 400 == sandbox.account.workflows.page().records[0].executions_count


def test_many_callers_under_one_key_start_one_execution(sandbox):
    """Whoever comes while the first one runs meets 409, everybody else the first answer."""

    def work(_):
        call = Caller(sandbox)
        answer = call(
            "POST",
            "/workflows/one/execute",
            {"id_type": "key"},
            headers={"Idempotency-Key": "k"},
        )
        call.session.close()
        return answer.status_code, answer.json().get("id")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(work, range(40)))

    assert 1 == len(sandbox.executions)
    assert (
        {(201, sandbox.executions[0].id)}
        <= answers
        <= {
            (201, sandbox.executions[0].id),
            (409, None),
        }
    )


def test_stopping_closes_open_connections():
    """A kept-alive connection ends with the server."""
    sandbox = Sandbox(frozen=True).start()
    host, port = sandbox.base_url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        sandbox.stop()
        assert b"" == connection.recv(1)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_it_can_listen_on_ipv6():
    """The base URL of an IPv6 address has brackets."""
    try:
        with Sandbox(frozen=True, host="::1") as sandbox:
            assert sandbox.base_url.startswith("http://[::1]:")
            call = Caller(sandbox)
            assert [] == call.get("/workflows")["collection"]
            call.session.close()
    except OSError:
        pytest.skip("IPv6 is switched off here")


def test_it_can_serve_over_tls():
    """The vendor's SDKs speak TLS only, so a certificate can be given."""
    certificate = Path(__file__).with_name("localhost.pem")
    with Sandbox(frozen=True, certificate=str(certificate)) as sandbox:
        sandbox.add_workflow("one")
        assert sandbox.base_url.startswith("https://127.0.0.1:")
        call = Caller(sandbox)
        call.session.verify = str(certificate)
        assert "running" == call.execute("one")["status"]
        sandbox.faults.add("reset", after=True)
        with pytest.raises(requests.ConnectionError):
            call.execute("one")
        call.session.close()

    assert 2 == len(sandbox.executions)


def test_a_caller_that_does_not_speak_tls_gets_nothing():
    """Plain text on a TLS port ends the connection, and the server serves on."""
    certificate = str(Path(__file__).with_name("localhost.pem"))
    with Sandbox(frozen=True, certificate=certificate) as sandbox:
        host, port = sandbox.base_url.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /api/v1/workflows HTTP/1.1\r\n" + AUTH + b"\r\n")
            assert b"HTTP" not in connection.recv(65_536)
        call = Caller(sandbox)
        call.session.verify = certificate
        assert [] == call.get("/workflows")["collection"]
        call.session.close()


# The command


def command(*words):
    """Return the sandbox that these words ask for."""
    return __main__.build(__main__.parser().parse_args(words))


def test_the_command_furnishes_the_sandbox(tmp_path):
    """Workflows come from a file, accounts, faults and all else from the options."""
    path = tmp_path / "workflows.json"
    path.write_text(json.dumps([{"key": "one", "template": {"nodes": []}, "user_key": "a"}]))

    sandbox = command(
        f"--workflows={path}",
        "--secret-key=sk_test_mine",
        "--account=eu=sk_test_eu",
        "--fault=503,times=2",
        "--time-scale=60",
        "--webhook-url=http://127.0.0.1:1/",
        "--allow-host=example.com",
    )

    assert ("sk_test_mine", ["one"], ["default", "eu"], ["503"], 60) == (
        sandbox.secret_key,
        [workflow.key for workflow in sandbox.account.workflows],
        list(sandbox.engine.accounts),
        [fault.kind for fault in sandbox.faults],
        sandbox.engine.runner.time_scale,
    )


def test_the_command_brings_examples():
    """Without a file there are the shop's workflows."""
    assert "order-fulfilment" in [workflow.key for workflow in command().account.workflows]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "does not hold a list of workflows"),
        ("[1]", "has no key"),
        ('[{"key": "a", "colour": 1}]', 'has an unknown property "colour". Use conditions, edges'),
        ('[{"key": "a", "edges": ["b-c"]}]', "edge b-c joins no two known nodes"),
        ("[", "workflows.json is no JSON: Expecting"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, capsys, content, sentence):
    """The command says what is wrong with the file, and exits with 2."""
    path = tmp_path / "workflows.json"
    path.write_text(content)

    assert 2 == __main__.main([f"--workflows={path}", "--port=0"])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workflows=/does/not/exist"], "No such file"),
        (["--fault=tired"], '"tired" is no fault'),
        (["--account=eu"], '"eu" is no account. Write name=key.'),
        (["--certificate=/no.pem"], "No such file or directory: '/no.pem'"),
        ([f"--certificate={__file__}"], f": '{__file__}'"),
        (["--host=256.1.1.1"], ": '256.1.1.1:0'"),
    ],
)
def test_options_that_make_no_sense_are_refused(capsys, words, sentence):
    """The command says which one, and exits with 2."""
    assert 2 == __main__.main([*words, "--port=0"])
    assert sentence in capsys.readouterr().err


def test_a_port_that_does_not_exist_is_refused(capsys):
    """Ports end at 65535."""
    with pytest.raises(SystemExit):
        __main__.main(["--port=65536"])
    assert "invalid port value: '65536'" in capsys.readouterr().err


def test_the_help_gives_the_defaults_that_there_are():
    """Options without a default show none."""
    text = " ".join(__main__.parser().format_help().split())

    assert "(default: 127.0.0.1)" in text
    assert "(default: None)" not in text


def test_a_port_in_use_is_refused(sandbox, capsys):
    """Two sandboxes cannot listen on one port."""
    port = sandbox.base_url.split(":")[2].split("/")[0]

    assert 2 == __main__.main([f"--port={port}"])
    assert f"in use: '127.0.0.1:{port}'" in capsys.readouterr().err


def test_the_command_can_be_stopped_from_another_thread(capsys):
    """Whoever embeds the command ends it with an event; it prints e-mails as they are sent."""
    stop = threading.Event()
    codes = []
    words = ["--port=0", "--time-scale=1000"]
    thread = threading.Thread(target=lambda: codes.append(__main__.main(words, stop)))
    thread.start()
    stop.set()
    thread.join(10)

    assert [0] == codes
    assert "The sandbox has stopped." in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_command_serves_until_it_is_stopped(number):
    """It prints where and with which keys it answers, runs workflows, and ends cleanly."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "embedworkflow_django.sandbox",
            "--port=0",
            "--time-scale=100000",
        ],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    greeting = [process.stdout.readline().split() for _ in range(4)]
    sandbox = Sandbox(base_url=greeting[0][-1], secret_key=greeting[2][-1])
    call = Caller(sandbox)
    call.execute("welcome-email", email="a@example.com")
    email = next(line for line in process.stdout if line.startswith("E-mail"))
    call.session.close()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert ["Publishable", "key", "pk_test_sandbox"] == greeting[3]
    assert "E-mail to a@example.com: Welcome\n" == email
    assert (0, "", "The sandbox has stopped.") == (
        process.returncode,
        err,
        out.strip().splitlines()[-1],
    )


def test_an_email_forges_no_line_on_the_terminal(capsys):
    """Recipient and subject come with the data, from whoever made it."""
    printed = []
    with command("--port=0", "--time-scale=100000") as sandbox:
        call = Caller(sandbox)
        call.execute("welcome-email", email="a\x1b[2J\nForged\u202e@example.com")
        wait_until(lambda: printed.append(capsys.readouterr().out) or any(printed))
        call.session.close()

    assert "E-mail to a\\x1b[2J\\nForged\\u202e@example.com: Welcome\n" == "".join(printed)


def test_the_command_restores_signal_handlers():
    """Called in the main thread, the command leaves the handlers as it found them."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()

    assert 0 == __main__.main(["--port=0"], stop)
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
