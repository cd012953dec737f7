"""Django's tasks: the work is a task's, on whatever backend the project has."""

from __future__ import annotations

import pytest

from embedworkflow_django.models import Status

from . import programs

# Workers of other processes give signs of life to every database.
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.mark.parametrize("alias", ["default", "embedworkflow"])
def test_the_immediate_backend_delivers_without_holding_up_the_commit(river, alias):
    """The task runs in the messenger's thread; what is due later is held back there."""
    backend = "django.tasks.backends.immediate.ImmediateBackend"
    programs.run(
        f"""
        import time
        from importlib.util import find_spec
        backend = {backend!r}
        if not find_spec("django.tasks"):
            backend = backend.replace("django.tasks", "django_tasks")
        settings.TASKS = {{{alias!r}: {{"BACKEND": backend, "QUEUES": ["slow"]}}}}
        settings.EMBEDWORKFLOW["DISPATCHER"] = "tasks"
        from datetime import timedelta
        from django.utils import timezone
        services.execute("bake")
        services.execute("bake", run_at=timezone.now() + timedelta(seconds=1))
        ends = time.monotonic() + 20
        while Execution.objects.queued().exists() and time.monotonic() < ends: time.sleep(0.05)
        """,
        configuration={
            "SECRET_KEY": river.sandbox.secret_key,
            "BASE_URL": river.sandbox.base_url,
            # The backend is chosen before the engine is loaded, as in a project's settings.
            "DISPATCHER": "worker",
            "TIMEOUT": [1, 2],
            "POLL": [60, 60, 3600],
        },
    )

    assert 2 == river.rows().filter(status=Status.RUNNING).count()
    assert 2 == len(river.executed)
