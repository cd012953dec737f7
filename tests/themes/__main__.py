"""``python -m tests.themes THEME``: walk through our pages; exit code 1 on the first fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

MARKERS = {"unfold": "/static/unfold/", "jazzmin": "/static/jazzmin/"}


def main(theme: str) -> None:
    """Walk."""
    os.environ["DJANGO_SETTINGS_MODULE"] = f"tests.themes.{theme}"
    import django
    from django.conf import settings

    settings.DATABASES["default"].update(NAME=":memory:", OPTIONS={})
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_theme", "DISPATCHER": "worker"}
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name, answer, ours in pages():
        assert 200 == answer.status_code, f"{name}: {answer.status_code}"
        assert MARKERS[theme] in answer.text, f"{name}: not under {theme}"
        assert ours in answer.text, f"{name}: there is no {ours}"
        assert 'name="_save"' not in answer.text or name == "order", f"{name}: buttons to save"
        print(name)


def pages() -> Iterator[tuple[str, Any, str]]:
    """Yield each page's name, its answer, and what of ours has to be in it."""
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse
    from shop.demo import goods

    from embedworkflow_django.models import Execution, Job, Status

    goods.fill_shelf()
    order = next(goods.orders())
    execution = Execution.objects.for_source(order).get()
    unconfirmed = Execution.objects.create(workflow="x", status=Status.UNCONFIRMED, due_at=None)
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))

    def url(page: str, *args: Any) -> str:
        return reverse(f"admin:embedworkflow_execution_{page}", args=args)

    def post(page: str, data: Any = None) -> Any:
        return client.post(page, data, follow=True)

    listed = url("changelist")
    yes = {"confirmed": "yes"}
    job = Job.objects.create(verb="cancel", newest=execution.pk, by="boss", total=3)
    yield "jobs", client.get(reverse("admin:embedworkflow_job_changelist")), "data-ewf-moves"
    yield "job", client.get(admin_url(job, "change")), 'class="ewf-job"'
    yield "job asked", post(admin_url(job, "cancel")), 'class="ewf-confirmation"'
    yield "job canceled", post(admin_url(job, "cancel"), yes), "It ends before"
    yield "list", client.get(listed), 'id="ewf-list"'
    yield "quick view", client.get(f"{listed}?view=queued"), 'aria-current="page"'
    yield "overview", client.get(url("overview")), 'class="ewf-overview"'
    yield "trigger map", client.get(url("triggers")), 'class="ewf-map"'
    yield "page", client.get(url("change", execution.pk)), 'class="ewf-execution"'
    yield "history", client.get(url("history", execution.pk)), "content"
    cancel = url("cancel", execution.pk)
    yield "confirmation", post(cancel), 'class="ewf-confirmation"'
    yield "resolve", post(url("resolve", unconfirmed.pk)), 'name="remote_id"'
    yield "canceled", post(cancel, yes), "ewf-canceled"
    again = {"action": "run_again", "_selected_action": str(execution.pk)}
    yield "action", (asked := post(listed, again)), 'class="ewf-confirmation"'
    key = {"key": asked.context_data["key"]}
    yield "action done", post(listed, {**again, **yes, **key}), "ewf-queued"
    assert 2 == Execution.objects.for_source(order).count()
    yield "order", client.get(order_url := admin_url(order, "change")), 'id="workflows"'
    run = admin_url(order, "run_workflow")
    asked = client.get(run)
    yield "run workflow", asked, "ewf-run"
    shown = asked.context_data
    form = shown["form"]
    sent = {"workflow": shown["offer"].name, "key": form.question, **form.initial}
    yield "run", post(run, sent), 'class="ewf-execution"'
    assert 3 == Execution.objects.for_source(order).count()
    assert "ewf-queued" in client.get(order_url).text


def admin_url(obj: Any, page: str) -> str:
    """Return the URL of an object's page in its own admin."""
    from django.urls import reverse

    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{page}", args=[obj.pk])


if __name__ == "__main__":
    main(*sys.argv[1:])
