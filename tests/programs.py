"""Programs of their own that use the package on the tests' databases, to be killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

_PREAMBLE = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.EMBEDWORKFLOW = json.loads(sys.argv[1])
import django
django.setup()
from django.db import connection, transaction
from embedworkflow_django import services
from embedworkflow_django.models import Execution
ALIAS = sys.argv[2]
"""


def start(code, *, configuration, alias="default"):
    """Start a program; it has ``services``, ``Execution``, ``transaction`` and ``ALIAS``."""
    return subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code), json.dumps(configuration), alias],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(code, *, configuration, alias="default", timeout=60):
    """Run a program to its end; return what it printed."""
    # Whoever hangs says where.
    watched = f"import faulthandler; faulthandler.dump_traceback_later({timeout}, exit=True)\n"
    process = start(watched + textwrap.dedent(code), configuration=configuration, alias=alias)
    with process:
        try:
            printed, complaints = process.communicate(timeout=timeout + 5)
        except subprocess.TimeoutExpired:
            # Its children, too: they hold what it has opened.
            os.killpg(process.pid, signal.SIGKILL)
            printed, complaints = process.communicate()
            pytest.fail(f"It has not ended within {timeout} s.\n{complaints}")
    assert process.returncode == 0, complaints
    return printed
