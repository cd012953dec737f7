"""Every page of ours holds under a strict Content-Security-Policy, without ``unsafe-inline``."""

from __future__ import annotations

from html.parser import HTMLParser

import django
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import path, reverse

from embedworkflow_django.models import Execution, Job, Status

from .bakery.models import Cake
from .test_admin_hosts import site, url

urlpatterns = [path("kitchen/", site.urls), path("admin/", admin.site.urls)]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

DATA_BLOCKS = {"application/json"}


class Markup(HTMLParser):
    """Finds what a strict policy blocks, and what is loaded."""

    def __init__(self, text):
        super().__init__()
        self.blocked = []
        self.loaded = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Look at one element."""
        named = dict(attrs)
        inline = tag == "script" and "src" not in named and named.get("type") not in DATA_BLOCKS
        handlers = [name for name in named if name.startswith("on")]
        linked = (named.get("href") or "").lower().startswith("javascript:")
        if tag == "style" or inline or "style" in named or handlers or linked:
            self.blocked.append(self.get_starttag_text())
        if (tag == "script" and "src" in named) or named.get("rel") == "stylesheet":
            self.loaded.append(named)


@pytest.fixture
def pages(client):
    """The pages of ours, by name, as a superuser gets them."""
    client.force_login(User.objects.create_superuser("boss"))
    cake = Cake.objects.create(name="Sacher")
    failed = Execution.objects.create(
        workflow="bake",
        status=Status.FAILED,
        due_at=None,
        last_error="no flour",
        source_type="bakery.cake",
        source_id=str(cake.pk),
        stats={"nodes": {"a": {"status": "failed"}}, "edges": {}},
        template={"nodes": [{"id": "a"}], "edges": []},
    )
    unconfirmed = Execution.objects.create(workflow="x", status=Status.UNCONFIRMED, due_at=None)
    job = Job.objects.create(verb="cancel", newest=failed.pk, by="boss", total=3)

    def of(execution, page):
        return reverse(f"kitchen:embedworkflow_execution_{page}", args=[execution.pk])

    return {
        "list": client.get(reverse("kitchen:embedworkflow_execution_changelist")),
        "page": client.get(of(failed, "change")),
        "history": client.get(of(failed, "history")),
        "run again": client.post(of(failed, "run_again")),
        "resolve": client.post(of(unconfirmed, "resolve")),
        "overview": client.get(reverse("kitchen:embedworkflow_execution_overview")),
        "jobs": client.get(reverse("admin:embedworkflow_job_changelist")),
        "job cancel": client.post(reverse("admin:embedworkflow_job_cancel", args=[job.pk])),
        "job": client.get(reverse("admin:embedworkflow_job_change", args=[job.pk])),
        "triggers": client.get(reverse("kitchen:embedworkflow_execution_triggers")),
        "object": client.get(url(cake)),
        "run": client.get(url(cake, "run_workflow")),
    }


def test_no_page_has_anything_inline(pages):
    """No style attribute, style element, inline script or handler; all is loaded from files."""
    for name, answer in pages.items():
        assert 200 == answer.status_code, name
        markup = Markup(answer.text)
        assert [] == markup.blocked, name
        sources = [each.get("src") or each["href"] for each in markup.loaded]
        assert all(each.startswith("/") and not each.startswith("//") for each in sources), name


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django's admin has nonces since 6.1")
def test_whatever_is_loaded_carries_the_nonce(settings, request):
    """Under a policy of nonces alone, nothing of ours is left out."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
    ]
    (templates,) = settings.TEMPLATES
    processors = [
        *templates["OPTIONS"]["context_processors"],
        "django.template.context_processors.csp",
    ]
    settings.TEMPLATES = [{**templates, "OPTIONS": {"context_processors": processors}}]
    settings.SECURE_CSP = {"default-src": ["'self'"], "script-src": ["<CSP_NONCE_SENTINEL>"]}

    for name, answer in request.getfixturevalue("pages").items():
        without = [each for each in Markup(answer.text).loaded if not each.get("nonce")]
        assert [] == without, name
