"""The example: two commands of the README, tried from outside as a newcomer does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from embedworkflow_django.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
MANAGE = ROOT / "example_project" / "manage.py"
PATIENCE = 60
TOKEN = "a token of the tests"
FAST = ("--hours-per-second", "240")


def _environment(**variables: str) -> dict[str, str]:
    """Return the environment of a newcomer; what is empty here outranks a developer's ``.env``."""
    ours = ("EMBEDWORKFLOW_", "SHOP_", "DJANGO_SETTINGS_MODULE")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **own,
        "PYTHONIOENCODING": "utf-8",
        "EMBEDWORKFLOW_SECRET_KEY": "",
        "SHOP_WEBHOOK_TOKEN": TOKEN,
        **variables,
    }


def _command(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", str(MANAGE), *words]


def manage(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the example to its end."""
    return subprocess.run(
        _command(*words),
        env=_environment(**variables),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


class Demo:
    """A demo with a website, on a free port."""

    def __init__(self, database: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            _command("demo", "--port", "0", "--database", str(database), *words),
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.url = self.read_until(r"Shop +(\S+)/$")[1]
        self.user, self.password = self.read_until(r"Log in +(\w+) / (\w+)$").groups()

    def read_until(self, pattern: str) -> re.Match[str]:
        """Return the first further line of the output in which a pattern is found."""
        for line in self.process.stdout:
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was never said: {self.end()}")

    def end(self, by: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what stands in the error output."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@pytest.fixture
def database(tmp_path):
    """The path of an SQLite file that does not exist yet."""
    return tmp_path / "shop.sqlite3"


@pytest.fixture
def demo(database):
    """Start demos, and end them."""
    started = []

    def start(*words: str) -> Demo:
        started.append(Demo(database, *words))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A demo in which one order is placed and then no other one, shared by tests."""
    database = tmp_path_factory.mktemp("example") / "shop.sqlite3"
    demo = Demo(database, "--orders", "1", "--every", "3600", *FAST)
    demo.read_until(r"placed +order 1\b")
    yield demo
    code, errors = demo.end()
    assert 0 == code
    assert "Traceback" not in errors


def _table(output: str) -> list[list[str]]:
    """Return the cells of the table's rows, without its head."""
    lines = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    head = next(n for n, cells in enumerate(lines) if cells[0] == "source")
    assert lines[head] == [
        *("source", "workflow", "status", "actions"),
        *("commit → dispatch", "total"),
    ]
    return [cells for cells in lines[head + 1 :] if len(cells) == len(lines[head])]


def _place_order(shop: Demo, **fields: str) -> requests.Response:
    with requests.Session() as session:
        page = session.get(f"{shop.url}/", timeout=PATIENCE)
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        return session.post(
            f"{shop.url}/", data={"csrfmiddlewaretoken": token, **fields}, timeout=PATIENCE
        )


def _webhook(shop: Demo, order: object, token: str = TOKEN) -> requests.Response:
    return requests.post(
        f"{shop.url}/webhooks/workflows/",
        json={"event": "order.shipped", "order_id": order},
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    )


def test_the_headless_demo_completes_every_execution_and_shows_them_in_a_table():
    """One command leads from an empty folder to completed executions, and exits with 0."""
    done = manage("demo", "--headless", "--orders", "3", *FAST)

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    rows = _table(done.stdout)
    assert sorted(
        [f"{what} {n}", workflow]
        for n in (1, 2, 3)
        for what, workflow in [
            ("order", "order-fulfilment"),
            ("order", "review-request"),
            ("customer", "welcome-email"),
        ]
    ) == sorted(cells[:2] for cells in rows)
    # Its last step has called back, and was answered.
    assert {"3/3"} == {cells[3] for cells in rows if cells[1] == "review-request"}
    for _, _, status, actions, dispatched, total in rows:
        assert "completed" == status
        done_actions, all_actions = actions.split("/")
        assert done_actions == all_actions != "0"
        assert re.fullmatch(r"\d+ ms|\d+\.\d s", dispatched)
        assert re.fullmatch(r"\d+ ms|\d+\.\d s", total)
    assert "9 of 9 executions have completed" in done.stdout


def test_the_terminal_shows_how_an_execution_moves_and_what_it_does():
    """Every transition has a line; so have e-mails, and what webhook and receiver do to orders."""
    done = manage("demo", "--headless", "--orders", "1", *FAST)

    for line in (
        r"· queued +order 1 +order-fulfilment",
        r"▸ running +order 1 +order-fulfilment +sent after \d+ ms",
        r"✔ completed +order 1 +order-fulfilment +6/6 actions in ",
        r"✉ e-mail +ada@example.org +Your order 1",
        r"◆ shipped +order 1",
        r"◆ fulfilled +order 1",
    ):
        assert re.search(line, done.stdout), line


def test_no_key_and_no_colour_is_in_the_output_of_a_pipe():
    """What is piped into a file is plain text, and nothing in it is a secret."""
    done = manage("demo", "--headless", "--orders", "1", *FAST)

    assert "\x1b" not in done.stdout
    assert not re.search("sk_|pk_", done.stdout + done.stderr)
    assert TOKEN not in done.stdout + done.stderr


def test_an_output_that_cannot_write_symbols_gets_letters():
    """A console of another encoding shows the demo, too."""
    done = manage(
        "demo", "--headless", "--orders", "1", *FAST, PYTHONIOENCODING="ascii:backslashreplace"
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert re.search(r"\+ completed +order 1 +order-fulfilment", done.stdout)


def test_the_headless_demo_fails_if_an_execution_does_not_complete():
    """The exit code is 1, and the table shows which one it was."""
    refusal = "422,path=/workflows/welcome-email/execute"

    done = manage("demo", "--headless", "--orders", "1", "--fault", refusal, *FAST)

    assert 1 == done.returncode
    assert "CommandError: Only 2 of 3 executions have completed." in done.stderr
    assert {
        ("order-fulfilment", "completed"),
        ("review-request", "completed"),
        ("welcome-email", "undeliverable"),
    } == {(cells[1], cells[2]) for cells in _table(done.stdout)}


def test_the_headless_demo_waits_no_longer_than_its_timeout():
    """What has not completed in time counts as not completed."""
    slow = ("--hours-per-second", "0.001", "--timeout", "0.5")

    done = manage("demo", "--headless", "--orders", "1", *slow)

    assert 1 == done.returncode
    assert "Only 0 of 2 executions have completed within 0.5 s (--timeout)." in done.stderr


def test_with_a_secret_key_the_shop_uses_the_api_of_the_settings():
    """The same shop runs against another API, and starts no sandbox of its own."""
    with Sandbox(secret_key="sk_test_of_the_example") as api:
        for key in ("order-fulfilment", "welcome-email"):
            api.add_workflow(key)
        variables = {
            "EMBEDWORKFLOW_SECRET_KEY": api.secret_key,
            "EMBEDWORKFLOW_BASE_URL": api.base_url,
            "EMBEDWORKFLOW_POLL": "0.1,1,1h",
        }
        done = manage("demo", "--headless", "--orders", "2", **variables)
        started = len(api.executions)

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert 4 == started == len(_table(done.stdout))
    assert api.secret_key not in done.stdout


def test_the_demo_does_the_work_itself_whatever_the_dispatcher_is():
    """A project that leaves the work to a worker elsewhere can still show its demo."""
    done = manage("demo", "--headless", "--orders", "1", *FAST, EMBEDWORKFLOW_DISPATCHER="worker")

    assert (0, "") == (done.returncode, done.stderr), done.stdout


@pytest.mark.parametrize("fault", ["503,times=3", "reset,after=1,times=2", "429,times=2"])
def test_an_execution_survives_an_api_that_fails(fault):
    """Each is sent again under its key until it is confirmed, and started once."""
    done = manage("demo", "--headless", "--orders", "1", "--fault", fault, *FAST)

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert 3 == len(_table(done.stdout))
    assert 1 == len(re.findall("✉ e-mail +ada@example.org +Your order 1", done.stdout))


def test_faults_are_refused_where_there_is_no_sandbox():
    """Nobody believes to have tried a fault that could not happen."""
    key = {"EMBEDWORKFLOW_SECRET_KEY": "sk_test_of_the_example"}

    done = manage("demo", "--headless", "--fault", "503", **key)

    assert 1 == done.returncode
    assert "CommandError: --fault needs the sandbox" in done.stderr


def test_a_fault_that_makes_no_sense_is_named():
    """A typing error ends in a sentence."""
    done = manage("demo", "--headless", "--fault", "bogus")

    assert 1 == done.returncode
    assert re.match(r"CommandError: --fault: .*bogus", done.stderr)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--hours-per-second", "0"], "argument --hours-per-second: 0 should be more than 0."),
        (["--every", "-1"], "argument --every: -1 should be more than 0."),
        (["--database", "/nowhere/at/all"], "there is no folder /nowhere/at."),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_an_option_that_makes_no_sense_ends_in_a_sentence(words, sentence):
    """Not in a traceback, nor in a flood of orders."""
    done = manage("demo", "--headless", *words)

    assert done.returncode
    assert done.stderr.rstrip().endswith(sentence)


def test_a_port_in_use_is_said_with_the_way_out(database):
    """The message names the port and the option, and nothing was begun."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = manage("demo", "--port", str(port), "--database", str(database))

    assert 1 == done.returncode
    assert f"CommandError: Port {port} is in use." in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert not database.exists()


def test_a_port_that_cannot_be_is_said_with_the_way_out(database):
    """A port beyond the last one ends in a sentence."""
    done = manage("demo", "--port", "70000", "--database", str(database))

    assert 1 == done.returncode
    assert "CommandError: Port 70000 cannot be used" in done.stderr


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_demo_cleanly(by, demo):
    """It exits with 0, without a traceback, and gives its port back."""
    running = demo("--orders", "1", *FAST)
    running.read_until("running +order 1")

    assert (0, "") == running.end(by)
    port = int(running.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_what_a_demo_leaves_unfinished_the_next_one_runs_again(demo, database):
    """A sandbox forgets when it ends; the rows do not."""
    running = demo("--orders", "1", "--hours-per-second", "0.001")
    running.read_until("running +order 1")
    running.end()

    done = manage("demo", "--headless", "--orders", "0", "--database", str(database), *FAST)

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert sorted(cells[:3] for cells in _table(done.stdout)) == [
        ["customer 1", "welcome-email", "completed"],
        ["order 1", "order-fulfilment", "completed"],
        ["order 1", "review-request", "completed"],
    ]


def test_a_customer_orders_and_watches_the_order_until_it_is_fulfilled(shop):
    """The storefront leads to a page whose live part ends with everything done."""
    page = _place_order(shop, name="Mary", email="mary@example.org", quantity_1="2")
    number = re.search(r"your order (\d+)", page.text)[1]
    # Of its two workflows either may end last, and a receiver is told of the first one's end.
    for _ in range(3):
        shop.read_until(rf"(completed|fulfilled) +order {number}\b")

    live = requests.get(f"{page.url}status/", timeout=PATIENCE)

    assert 2 == len(page.history) + 1
    assert "data-settled" in live.text
    assert 3 == live.text.count('class="done"')
    assert 2 == live.text.count('class="badge completed"')


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "Mary", "email": "mary@example.org"}, "Choose at least one thing."),
        ({"name": "", "email": "", "quantity_1": "1"}, "This field is required."),
        ({"name": "M", "email": "m@example.org", "quantity_1": "-1"}, "greater than or equal to 0"),
    ],
    ids=["nothing chosen", "nobody", "less than nothing"],
)
def test_an_order_that_makes_no_sense_is_not_placed(fields, complaint, shop):
    """The storefront says what is wrong and keeps the form open."""
    page = _place_order(shop, **fields)

    assert f"{shop.url}/" == page.url
    assert complaint in page.text


@pytest.mark.parametrize(
    ("order", "token", "status"),
    [
        (1, "another token", 401),
        (1, "", 401),
        (1, "tökén", 401),
        (1, TOKEN, 200),
        (10**9, TOKEN, 422),
        ("no number", TOKEN, 422),
        (None, TOKEN, 422),
    ],
)
def test_the_webhook_believes_only_who_knows_the_token(order, token, status, shop):
    """It answers 401 to strangers, and 422 to what it cannot use."""
    assert status == _webhook(shop, order, token.encode("utf-8").decode("latin-1")).status_code


def test_the_webhook_refuses_what_is_no_json_object(shop):
    """Garbage is the sender's fault, not an error of the shop."""
    for body in (b"", b"{", b"[]", b"\xff"):
        answer = requests.post(
            f"{shop.url}/webhooks/workflows/",
            data=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE,
        )
        assert 422 == answer.status_code


def test_the_printed_password_opens_the_admin_and_the_rest_api(shop):
    """The staff user sees executions, orders with theirs, and the REST API."""
    with requests.Session() as session:
        login = f"{shop.url}/admin/login/?next=/admin/embedworkflow/execution/"
        token = re.search(
            r'csrfmiddlewaretoken" value="(\w+)"', session.get(login, timeout=PATIENCE).text
        )[1]
        listed = session.post(
            login,
            data={
                "csrfmiddlewaretoken": token,
                "username": shop.user,
                "password": shop.password,
            },
            timeout=PATIENCE,
        )
        order = session.get(f"{shop.url}/admin/shop/order/1/change/", timeout=PATIENCE)
        rest = session.get(f"{shop.url}/api/executions/", timeout=PATIENCE)

    assert "order-fulfilment" in listed.text
    assert re.search(r'/admin/embedworkflow/execution/[0-9a-f-]+/change/">order-fulf', order.text)
    assert "execution/?q=shop.order%3A1" in order.text
    assert "shop.order:1" in {each["source"] for each in rest.json()["results"]}


def test_strangers_see_no_executions(shop):
    """Admin and REST ask who is there."""
    listed = requests.get(f"{shop.url}/admin/embedworkflow/execution/", timeout=PATIENCE)
    rest = requests.get(f"{shop.url}/api/executions/", timeout=PATIENCE)

    assert "/admin/login/" in listed.url
    assert 403 == rest.status_code


def test_the_shop_has_nothing_to_be_warned_of():
    """System checks are silent once there is a key, and no migration is missing."""
    key = {"EMBEDWORKFLOW_SECRET_KEY": "sk_test_of_the_example"}

    for words in (["check", "--fail-level", "WARNING"], ["makemigrations", "--check"]):
        done = manage(*words, **key)
        assert (0, "") == (done.returncode, done.stderr), done.stdout
