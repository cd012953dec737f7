"""The sandbox runs workflows: nodes, delays, conditions, e-mails, webhooks, and their end."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading

import pytest

from embedworkflow_django.sandbox import ManualClock, Sandbox, authoring, engine, outgoing

from .sandbox_calls import HOUR, NOON, in_process, wait_until


@pytest.fixture
def sandbox():
    """Return a sandbox whose time stands still at noon."""
    return Sandbox(clock=ManualClock(NOON), seed=7)


@pytest.fixture
def shop():
    """Run a server that remembers what it was sent and answers what the test says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.received.append((self.command, self.path, self.headers, body))
            self.server.met.set()
            if self.server.gate is not None:
                self.server.gate.wait(10)
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.answer)))
            with contextlib.suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(self.server.answer)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *args):
            """Keep the terminal quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.received, server.status, server.answer = [], 200, b"{}"
    server.gate, server.met = None, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def node(name, kind="Email", **fields):
    """Return a node."""
    return {"id": name, "name": name.title(), "type": kind, **fields}


def run(sandbox, *nodes, edges=(), data=None):
    """Run a workflow of these nodes to its end and return the execution."""
    sandbox.add_workflow("probe", nodes=list(nodes), edges=list(edges))
    execution = sandbox.execute("probe", data or {})
    sandbox.finish()
    return sandbox.execution(execution.id)


def test_a_node_goes_from_idle_over_running_to_completed(sandbox):
    """An action is idle first, then runs, then is completed, and the counters follow."""
    sandbox.add_workflow("one", nodes=[node("mail01")])
    execution = sandbox.execute("one")
    seen = []
    for seconds in (0, 0.5, 0.5):
        sandbox.advance(seconds)
        seen.append((sandbox.execution(execution.id).actions["mail01"].status, execution.status))

    assert [("idle", "running"), ("running", "running"), ("completed", "completed")] == seen
    assert {"idle": 0, "running": 0, "completed": 1, "failed": 0, "stopped": 0} == execution.counts


def test_nothing_has_happened_when_an_execution_has_just_started(sandbox):
    """Starting is asynchronous: right afterwards there are no actions yet."""
    sandbox.add_workflow("one", nodes=[node("mail01")])

    execution = sandbox.execute("one")

    assert ({}, "running") == (execution.actions, execution.status)


def test_a_workflow_without_nodes_is_completed_at_once(sandbox):
    """Where nothing is to be done, the execution has ended when it is first asked about."""
    sandbox.add_workflow("empty")

    execution = sandbox.execute("empty")

    assert "completed" == sandbox.execution(execution.id).status


def test_a_delay_waits_as_long_as_it_says(sandbox):
    """What follows a delay of two hours does not start a second earlier."""
    nodes = [node("wait01", "Delay", delay_n=2, delay_unit="hour"), node("mail01")]
    sandbox.add_workflow("later", nodes=nodes, edges=["wait01-mail01"])
    execution = sandbox.execute("later")
    sandbox.advance(2 * HOUR - 1)
    before = dict(execution.actions)
    sandbox.advance(2)

    assert ["wait01"] == list(before)
    assert ["wait01", "mail01"] == list(sandbox.execution(execution.id).actions)


def test_the_time_scale_shortens_delays():
    """With a scale of 3600, an hour passes in a second."""
    sandbox = Sandbox(frozen=True, time_scale=3600)
    sandbox.add_workflow("later", nodes=[node("wait01", "Delay", delay_n="1", delay_unit="hours")])
    execution = sandbox.execute("later")

    sandbox.advance(1.1)

    assert "completed" == execution.status


def test_moments_are_those_at_which_things_were_due(sandbox):
    """However late somebody looks, an action bears the time at which it really happened."""
    sandbox.add_workflow("one", nodes=[node("wait01", "Delay", delay_n=10, delay_unit="second")])
    execution = sandbox.execute("one")
    sandbox.advance(HOUR)

    action = sandbox.execution(execution.id).actions["wait01"]

    assert (NOON + 10, NOON + 10, NOON + 10.5) == (
        action.scheduled_at,
        action.run_at,
        action.completed_at,
    )


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"delay_n": "soon", "delay_unit": "hour"}, 'delay_n "soon" is not a number'),
        ({"delay_n": 1, "delay_unit": "moon"}, 'delay_unit "moon" is not one of'),
        ({"delay_n": "nan", "delay_unit": "day"}, "A delay of nan day is longer than a century"),
        ({"delay_n": 1e300, "delay_unit": "day"}, "A delay of 1e+300 day is longer than"),
        ({"delay_n": object(), "delay_unit": "day"}, "TypeError: Object of type object is not"),
    ],
    ids=["number", "unit", "nan", "too long", "no JSON"],
)
def test_a_delay_without_sense_fails_with_a_note(sandbox, fields, note):
    """The note of a failed delay names what cannot be read."""
    execution = run(sandbox, node("wait01", "Delay", **fields))

    assert "failed" == execution.status
    assert execution.actions["wait01"].failure_note.startswith(note)


@pytest.mark.parametrize(("total", "reached"), [(150, "large1"), (50, "small1")])
def test_a_condition_chooses_the_way(sandbox, total, reached):
    """A node with `required_condition_result` runs only for that result."""
    execution = run(
        sandbox,
        node(
            "check1",
            "Condition",
            conditions=[{"type": "greater_than", "field": "total", "value": 100}],
        ),
        node("large1", required_condition_result=True),
        node("small1", required_condition_result=False),
        edges=["check1-large1", "check1-small1"],
        data={"total": total},
    )

    assert ["check1", reached] == list(execution.actions)
    assert ("completed", {("check1", reached)}) == (
        execution.status,
        execution.open_edges - {("start_of_workflow", "check1")},
    )


def test_a_condition_of_unknown_type_fails(sandbox):
    """A condition that cannot be decided fails the action and names the type."""
    execution = run(sandbox, node("check1", "Condition", conditions=[{"type": "magic"}]))

    assert "failed" == execution.status
    assert 'Condition type "magic" is not known' in execution.actions["check1"].failure_note


def test_a_node_that_cannot_be_read_fails_alone(sandbox):
    """Whatever a node holds, its action fails with a note and the others run on."""
    execution = run(sandbox, node("odd001", subject=object()), node("mail01"))

    assert {"odd001": "failed", "mail01": "completed"} == {
        name: action.status for name, action in execution.actions.items()
    }
    assert "TypeError" in execution.actions["odd001"].failure_note


def test_a_node_reached_twice_runs_once(sandbox):
    """Where two ways meet, the first one that opens makes the action."""
    execution = run(
        sandbox,
        node("left01"),
        node("right1"),
        node("both01"),
        edges=["left01-both01", "right1-both01"],
    )

    assert 3 == execution.counts["completed"]
    assert {("left01", "both01"), ("right1", "both01")} < execution.open_edges


def test_a_type_never_heard_of_passes(sandbox):
    """The list of node types is not public, so an unknown one does nothing and is completed."""
    assert "completed" == run(sandbox, node("magic1", "Magic")).status


def test_emails_are_filled_and_delivered():
    """An Email node hands its text to the callable, with placeholders filled."""
    delivered = []
    sandbox = Sandbox(frozen=True, deliver=delivered.append)

    run(
        sandbox,
        node("mail01", recipient="{{ email }}", subject="Order {{ order.id }}", body="Hi"),
        data={"email": "a@example.com", "order": {"id": 7}},
    )

    assert [("a@example.com", "Order 7", "Hi")] == [
        (email.recipient, email.subject, email.body) for email in delivered
    ]
    assert delivered == sandbox.emails


def test_a_mailer_that_raises_fails_the_action():
    """What the callable raises becomes the note of the failed action."""

    def refuse(email):
        raise OSError("mailbox full")

    sandbox = Sandbox(frozen=True, deliver=refuse)

    execution = run(sandbox, node("mail01"), node("mail02"), edges=["mail01-mail02"])

    assert ("failed", ["mail01"]) == (execution.status, list(execution.actions))
    assert "OSError: mailbox full" == execution.actions["mail01"].failure_note


def test_a_webhook_really_posts(sandbox, shop):
    """A Webhook node posts its params as a JSON object, with its headers."""
    execution = run(
        sandbox,
        node(
            "hook01",
            "Webhook",
            url=shop.url + "/done?x=1",
            params="order_id: {{ order_id }}\nnote: a: b\nno colon",
            headers="X-Token: {% redact token %}",
        ),
        data={"order_id": 7, "token": "s3cret"},
    )

    [(method, path, headers, body)] = shop.received
    assert ("POST", "/done?x=1", "s3cret") == (method, path, headers["X-Token"])
    assert "application/json" == headers["Content-Type"]
    assert {"order_id": "7", "note": "a: b"} == json.loads(body)
    assert "completed" == execution.status


def test_a_secret_is_filtered_from_the_log(sandbox, shop):
    """A value marked with `redact` is sent, but the action's log shows `<FILTERED>`."""
    execution = run(
        sandbox,
        node("hook01", "Webhook", url=shop.url, params={"token": "{% redact token %}", "n": 1}),
        data={"token": "s3cret"},
    )

    assert b"s3cret" in shop.received[0][3]
    assert {"token": "<FILTERED>", "n": "1"} == execution.actions["hook01"].log["params"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_is_not_answered_well_fails(sandbox, shop, status):
    """Every answer but 2xx fails the action, a redirect too, which is not followed."""
    shop.status = status

    execution = run(sandbox, node("hook01", "Webhook", url=shop.url))

    assert f"The server answered {status}" == execution.actions["hook01"].failure_note
    assert 1 == len(shop.received)


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ("http://192.0.2.1/", "Refused: 192.0.2.1 is not a loopback address"),
        ("http://0.0.0.0/", "Refused: 0.0.0.0 is not a loopback address"),
        ("http://nobody.invalid/", "The host nobody.invalid is not known"),
        ("ftp://127.0.0.1/", 'The URL "ftp://127.0.0.1/" does not start with http'),
        ("", 'The URL "" does not start with http'),
        ("http://[::1/", "The URL cannot be read"),
        ("http://127.0.0.1:99999/", "The URL cannot be read"),
        ("http://127.0.0.1:1/a b", "No answer"),
        ("http://127.0.0.1:1/", "No answer"),
        ("https://127.0.0.1:1/", "No answer"),
    ],
)
def test_a_webhook_calls_loopback_addresses_only(sandbox, url, note):
    """A call elsewhere is refused, and like any call without an answer it fails the action."""
    execution = run(sandbox, node("hook01", "Webhook", url=url))

    assert execution.actions["hook01"].failure_note.startswith(note)


@pytest.mark.parametrize("allowed", ["192.0.2.1", "*"])
def test_other_hosts_can_be_allowed(allowed):
    """A host that is allowed by name, or by `*`, is called."""
    caller = outgoing.Caller([allowed], timeout=0.01)

    with pytest.raises(outgoing.CallError, match="No answer"):
        caller.call(outgoing.OutgoingCall(url="http://192.0.2.1/"))


def test_a_server_that_takes_too_long_fails_the_webhook(shop):
    """The time a called server may take is limited, and the note says so."""
    shop.gate = threading.Event()
    sandbox = Sandbox(frozen=True, webhook_timeout=0.05)

    execution = run(sandbox, node("hook01", "Webhook", url=shop.url))
    shop.gate.set()

    assert "No answer within 0.05 seconds" == execution.actions["hook01"].failure_note


def test_a_header_with_a_line_break_is_not_sent(sandbox, shop):
    """Data cannot smuggle a header into a call."""
    execution = run(
        sandbox,
        node("hook01", "Webhook", url=shop.url, headers="X-A: {{ a }}\ncontent-type: text/plain"),
        data={"a": "1\r\nX-B: 2"},
    )

    assert "failed" == execution.status
    assert [] == shop.received


def test_a_call_happens_outside_the_lock(shop):
    """While somebody else's server takes its time, the sandbox answers others."""
    shop.gate = threading.Event()
    with Sandbox(time_scale=1000) as sandbox:
        sandbox.add_workflow("hook", nodes=[node("hook01", "Webhook", url=shop.url)])
        execution = sandbox.execute("hook")
        assert shop.met.wait(10)
        status = sandbox.execution(execution.id).actions["hook01"].status
        shop.gate.set()
        sandbox.advance()

    assert "running" == status


def test_time_moves_by_itself_when_it_is_the_machines(shop):
    """With the machine's clock, workflows run in the background, and a callable hears of it."""
    heard = threading.Event()
    with Sandbox(time_scale=1000, deliver=lambda email: heard.set()) as sandbox:
        nodes = [node("wait01", "Delay", delay_n=20, delay_unit="second"), node("mail01")]
        sandbox.add_workflow("later", nodes=nodes, edges=["wait01-mail01"])
        sandbox.execute("later")

        assert heard.wait(10)


def test_the_machines_clock_can_be_put_forward():
    """`advance` skips a long delay also while the clock runs."""
    with Sandbox() as sandbox:
        nodes = [node("wait01", "Delay", delay_n=2, delay_unit="day"), node("mail01")]
        sandbox.add_workflow("later", nodes=nodes, edges=["wait01-mail01"])
        execution = sandbox.execute("later")
        sandbox.advance(3 * 24 * HOUR)

        assert "completed" == sandbox.execution(execution.id).status


def test_a_custom_action_picks_data_for_later_nodes(sandbox, shop):
    """Values of the answer, picked by the schema, are there for later nodes under the prefix."""
    shop.answer = json.dumps({"result": {"text": "Hello"}, "other": 1}).encode()
    call = in_process(sandbox)
    action_type = call.post(
        "/action_types",
        name="Write",
        url_draft=shop.url + "/write/{{ form__kind }}",
        http_method_draft="GET",
        params_draft="topic: {{ topic }}",
        response_data_schema_draft=[
            {"variable": "text", "data_path": "result.text"},
            {"variable": "missing", "data_path": "result.nothing"},
            {"no": "variable"},
        ],
        publish=True,
    )

    run(
        sandbox,
        node(
            "write1",
            "CustomApiRequest",
            action_type_id=action_type["id"],
            prefix="post_",
            action_data={"form__kind": {"label": "A post", "value": "post"}, "topic": "tea"},
        ),
        node("mail01", body="{{ post_text }}{{ post_missing }}"),
        edges=["write1-mail01"],
    )

    assert [("GET", "/write/post?topic=tea")] == [(m, p) for m, p, *_ in shop.received]
    assert "Hello" == sandbox.emails[0].body


@pytest.mark.parametrize("answer", [b"no json", b"[1]"])
def test_an_answer_that_is_no_object_gives_no_data(sandbox, shop, answer):
    """A 2xx answer completes the action whatever its body."""
    shop.answer = answer
    schema = [{"variable": "text"}]
    custom = node("write1", "CustomApiRequest", url=shop.url, response_data_schema=schema)

    execution = run(sandbox, custom)

    assert ("completed", {}) == (execution.status, execution.action_data)


def test_a_custom_action_without_type_fails(sandbox):
    """A node that names no known action type fails and says which."""
    execution = run(sandbox, node("write1", "CustomApiRequest", action_type_id="gone"))

    assert 'There is no action type "gone"' == execution.actions["write1"].failure_note


def test_javascript_is_not_run(sandbox):
    """An action type made of code is completed without doing anything, and the log says so."""
    action_type = in_process(sandbox).post(
        "/action_types", name="Code", code_draft="alert(1)", publish="true"
    )

    execution = run(sandbox, node("code01", "CustomApiRequest", action_type_id=action_type["id"]))

    assert "completed" == execution.status
    assert "JavaScript is not run" in execution.actions["code01"].log["code"]


def test_an_execution_that_starts_later_is_upcoming(sandbox):
    """Until it starts it is `upcoming`, and nothing of it has happened."""
    sandbox.add_workflow("one", nodes=[node("mail01")])
    execution = sandbox.execute("one", starts_in=HOUR)
    sandbox.advance(HOUR - 1)
    before = execution.status
    sandbox.advance(2)

    assert ("upcoming", "completed") == (before, execution.status)


def test_a_stopped_execution_stops_its_actions(sandbox):
    """Stopping ends what is unfinished and leaves what is completed."""
    nodes = [node("mail01"), node("wait01", "Delay", delay_n=1, delay_unit="day")]
    sandbox.add_workflow("two", nodes=nodes)
    execution = sandbox.execute("two")
    sandbox.advance(5)

    sandbox.engine.stop(execution)
    sandbox.finish()

    assert "stopped" == execution.status
    assert {"mail01": "completed", "wait01": "stopped"} == {
        name: action.status for name, action in execution.actions.items()
    }
    assert NOON + 5 == execution.actions["wait01"].stopped_at


def test_a_final_execution_cannot_be_stopped(sandbox):
    """What has ended stays as it ended."""
    execution = run(sandbox, node("mail01"))

    assert "completed" == sandbox.engine.stop(execution).status


def test_an_answer_that_comes_after_the_stop_changes_nothing(shop):
    """A webhook answered after its execution was stopped leaves the action stopped."""
    shop.gate = threading.Event()
    with Sandbox(time_scale=1000) as sandbox:
        sandbox.add_workflow("hook", nodes=[node("hook01", "Webhook", url=shop.url)])
        execution = sandbox.execute("hook")
        assert shop.met.wait(10)
        sandbox.engine.stop(execution)
        shop.gate.set()
        sandbox.advance()

        assert ("stopped", "stopped") == (execution.status, execution.actions["hook01"].status)


@pytest.mark.parametrize("status", ["pondering", "running", "failed"])
def test_a_status_can_be_forced(sandbox, status):
    """`set_status` makes an execution say any word, and it does not move on."""
    sandbox.add_workflow("one", nodes=[node("mail01")])
    execution = sandbox.execute("one")

    sandbox.set_status(execution.id, status)
    sandbox.finish()

    assert status == sandbox.execution(execution.id).status


def test_tasks_that_wait_at_a_stop_run_after_the_next_start(shop):
    """Stopping waits for calls in flight only; the others are made once it is started again."""

    def runners():
        return sum(thread.name == "sandbox-runner" for thread in threading.enumerate())

    shop.gate = threading.Event()
    sandbox = Sandbox(time_scale=1000).start()
    sandbox.add_workflow("hook", nodes=[node("hook01", "Webhook", url=shop.url)])
    for _ in range(20):
        sandbox.execute("hook")
    wait_until(lambda: len(shop.received) == 4)
    before = runners()
    stopping = threading.Thread(target=sandbox.stop)
    stopping.start()
    wait_until(lambda: runners() < before)
    shop.gate.set()
    stopping.join()

    assert 4 == len(shop.received)
    with sandbox:
        wait_until(lambda: len(shop.received) == 20)


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_time_must_pass(scale):
    """A scale under which no time passes is refused."""
    with pytest.raises(ValueError, match="time_scale must be more than 0"):
        Sandbox(time_scale=scale)


def test_an_execution_that_does_not_exist_is_not_found(sandbox):
    """Asking for an unknown execution raises a LookupError that names it."""
    with pytest.raises(LookupError, match="execution nothing"):
        sandbox.execution("nothing")


def test_thousands_of_waiting_executions_do_not_slow_one_down(sandbox):
    """Catching one execution up touches no other, however many wait."""
    nodes = [node("wait01", "Delay", delay_n=1, delay_unit="month")]
    sandbox.add_workflow("long", nodes=nodes)
    waiting = [sandbox.execute("long") for _ in range(2000)]
    sandbox.engine.clock.advance(1)

    sandbox.execution(waiting[0].id)

    assert [1, 0] == [len(execution.actions) for execution in waiting[:2]]


def test_any_number_may_be_due_at_once(sandbox):
    """However many are due at one moment, all of them move on."""
    sandbox.add_workflow("one", nodes=[node("mail01")])
    for _ in range(200):
        sandbox.execute("one")
    sandbox.advance(1)

    assert {"completed"} == {execution.status for execution in sandbox.executions}
    assert 200 == len(sandbox.emails)


def test_a_started_execution_keeps_its_template(sandbox):
    """Publishing a new template leaves running executions on the old one."""
    workflow = sandbox.add_workflow("one", nodes=[node("mail01")])
    execution = sandbox.execute("one")
    authoring.update(
        sandbox.engine, sandbox.account, workflow, {"template_draft": {"nodes": [node("mail02")]}}
    )
    authoring.publish(sandbox.engine, workflow)
    sandbox.finish()

    assert ["mail01"] == list(execution.actions)


def test_reset_forgets_what_happened_and_keeps_the_furniture(sandbox):
    """After a reset no call, execution, e-mail, key or fault is left, but the workflows are."""
    call = in_process(sandbox)
    sandbox.add_workflow("one", nodes=[node("mail01")])
    headers = {"Idempotency-Key": "k"}
    body = {"id_type": "key"}
    first = call("POST", "/workflows/one/execute", body, headers=headers).json()
    sandbox.finish()
    sandbox.faults.add("500", times=None)

    sandbox.reset()

    assert ([], [], []) == (sandbox.requests, sandbox.executions, sandbox.emails)
    again = call("POST", "/workflows/one/execute", body, headers=headers).json()
    assert first["id"] != again["id"]


def test_the_examples_run_to_their_end():
    """Each of the shop's ready-made workflows ends as its data lead one to expect."""
    sandbox = Sandbox(frozen=True)
    keys = [workflow.key for workflow in sandbox.add_examples()]
    data = {"email": "a@example.com", "total": 150, "items": [{"name": "Tea"}], "sku": "T1"}
    executions = {key: sandbox.execute(key, data) for key in keys}
    sandbox.finish()

    assert {
        "order-fulfilment": "completed",
        "welcome-email": "completed",
        "abandoned-cart": "completed",
        "stock-alert": "failed",
    } == {key: execution.status for key, execution in executions.items()}
    assert 6 == executions["order-fulfilment"].counts["completed"]
    assert "Your cart is waiting: Tea." in [email.body for email in sandbox.emails]


def test_the_order_example_tells_the_shop(shop):
    """With a webhook URL, the order workflow posts the order's shipment to the shop."""
    sandbox = Sandbox(frozen=True, webhook_url=shop.url + "/callback")
    sandbox.add_examples()
    sandbox.execute("order-fulfilment", {"order_id": 7, "total": 10})
    sandbox.finish()

    [(_, path, _, body)] = shop.received
    assert ("/callback", {"event": "order.shipped", "order_id": "7"}) == (path, json.loads(body))


def test_the_key_shows_in_no_repr(sandbox):
    """Neither the sandbox nor its account spells the secret key in a repr."""
    assert sandbox.secret_key not in repr(sandbox) + repr(sandbox.account)


def test_a_template_can_be_given_as_in_the_api(sandbox):
    """`add_workflow` takes a template in place of nodes and edges, and makes a name."""
    workflow = sandbox.add_workflow("order-paid", {"nodes": [node("mail01")], "edges": []})

    assert ("order-paid", "Order paid", True, 1) == (
        workflow.key,
        workflow.name,
        workflow.on,
        workflow.published.template.actions_count,
    )


def test_a_workflow_can_belong_to_another_user(sandbox):
    """A workflow of a user is found on that user's behalf only."""
    sandbox.add_workflow("mine", user_key="customer-1")
    sandbox.add_workflow("too", user_key="customer-1")
    execution = sandbox.execute("mine", user_key="customer-1")

    assert "customer-1" == execution.workflow.user.key
    with pytest.raises(engine.NotFoundError):
        sandbox.execute("mine")


def test_a_workflow_that_makes_no_sense_is_refused(sandbox):
    """The error names the property, also without HTTP."""
    with pytest.raises(authoring.InvalidWorkflowError, match="name can't be blank"):
        sandbox.add_workflow("  ")


def test_users_can_have_data(sandbox):
    """A user's data fills the placeholders of the user's workflows."""
    sandbox.add_user("customer-1", name="Ann", data={"city": "Graz"})
    sandbox.add_workflow(
        "one", nodes=[node("mail01", body="{{ user.name }}, {{ city }}")], user_key="customer-1"
    )
    sandbox.execute("one", user_key="customer-1")
    sandbox.finish()

    assert "Ann, Graz" == sandbox.emails[0].body


def test_the_server_can_be_started_and_stopped_again():
    """Starting twice is starting once, and what was remembered outlives a stop."""
    sandbox = Sandbox(frozen=True)
    unserved = sandbox.base_url
    with sandbox:
        served = sandbox.start().base_url
        sandbox.execute(sandbox.add_workflow("one").key)
    sandbox.stop()

    assert (unserved, 1) == (sandbox.base_url, len(sandbox.executions))
    assert served != unserved


def test_it_works_without_django_and_without_requests(python):
    """Served over HTTP, the sandbox imports nothing but the standard library."""
    loaded = python(
        "import sys\n"
        "from embedworkflow_django.sandbox import Sandbox, __main__\n"
        "with Sandbox() as sandbox: sandbox.add_examples()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    ).split()

    assert not {"django", "requests", "urllib3"} & set(loaded)
