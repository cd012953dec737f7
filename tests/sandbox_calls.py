"""Calls the sandbox's tests make: one caller for both ways in, in process and over HTTP."""

from __future__ import annotations

import json
import time
from pathlib import Path

import requests

EXAMPLES = Path(__file__).parent / "api_examples"
#: 2026-01-15, 12:00 UTC.
NOON = 1_768_478_400.0
HOUR = 3600.0


class Caller:
    """Calls a sandbox with its secret key; paths are relative to the base URL."""

    def __init__(self, sandbox, *, key=None):
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key or sandbox.secret_key}"

    def __call__(self, method, path, json=None, **options):
        """Return the answer to any call."""
        options.setdefault("timeout", 10)
        return self.session.request(method, self.sandbox.base_url + path, json=json, **options)

    def get(self, path, **query):
        """Return the JSON of a GET that must succeed."""
        answer = self("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path, **body):
        """Return the JSON of a POST that must succeed."""
        answer = self("POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def put(self, path, **body):
        """Return the JSON of a PUT that must succeed."""
        answer = self("PUT", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def execute(self, key, **data):
        """Start a workflow by key and return the execution."""
        return self.post(f"/workflows/{key}/execute", id_type="key", execution_data=data)

    def error(self, method, path, json=None, **options):
        """Return status and JSON of a call that fails."""
        answer = self(method, path, json=json, **options)
        return answer.status_code, answer.json()


def wait_until(condition):
    """Return once *condition* holds; fail when it does not within ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def in_process(sandbox, **options):
    """Return a caller that reaches *sandbox* through its adapter."""
    caller = Caller(sandbox, **options)
    caller.session.mount(sandbox.base_url, sandbox.adapter())
    return caller


def example(name):
    """Return one of the documented examples."""
    return json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
