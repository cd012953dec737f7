"""What the viewer's language changes: numbers, and the words of the catalogues."""

from __future__ import annotations

import gettext
import re
import shutil
import subprocess
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models.signals import post_save
from django.urls import path, reverse
from django.utils import timezone, translation

import embedworkflow_django
from embedworkflow_django import figures, intake, triggers
from embedworkflow_django.admin import (
    ExecutionAdmin,
    WorkflowsAdminMixin,
    actions,
    outlook,
    presentation,
)
from embedworkflow_django.admin.offers import Offer
from embedworkflow_django.models import Execution, Job, Status

from . import databases
from .bakery.models import Cake
from .declared import declaring

LOCALE = Path(embedworkflow_django.__file__).parent / "locale"
#: Each language, and how many forms its words have for numbers.
LANGUAGES = {"ar": 6, "de": 2, "es": 3, "fr": 3, "ja": 1, "pt": 2}
TOOLS = ("xgettext", "msgen", "msgfmt")
#: What a translation keeps as it is: placeholders and tags.
KEPT = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\w*\}|<[^>]*>")


class CakeAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    """Cakes, for which a workflow can be run."""

    def get_run_workflows(self, request, obj):
        """Return a workflow that is named by what is no word."""
        return [Offer(name="w-2", workflow="w-2", id_type="hashid")]


site = admin.AdminSite(name="kitchen")
site.register(Execution, ExecutionAdmin)
site.register(Cake, CakeAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("kitchen/", site.urls)]


def messages(catalogue: Path) -> dict:
    """Return a compiled catalogue's messages; one with a plural has a key for each form."""
    with catalogue.open("rb") as file:
        found = gettext.GNUTranslations(file)._catalog
    return {key: text for key, text in found.items() if key}


def catalogue(language: str) -> dict:
    """Return the messages that the package brings along in a language."""
    return messages(LOCALE / language / "LC_MESSAGES" / "django.mo")


def message(key) -> str:
    """Return the English message of a catalogue's key, without its context."""
    return (key[0] if isinstance(key, tuple) else key).rpartition("\x04")[2]


def named(keys) -> set[str]:
    """Return which messages keys are about, each with its context."""
    return {key[0] if isinstance(key, tuple) else key for key in keys}


@pytest.fixture
def compiled(tmp_path):
    """Compile a catalogue with GNU gettext; skip without it, and fail where it must be there."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        (pytest.fail if databases.DEMANDED else pytest.skip)(
            f"No {' and no '.join(missing)}: the catalogues are read with GNU gettext."
        )

    def compile_(source: Path) -> dict:
        made = tmp_path / "made.mo"
        subprocess.run(["msgfmt", "--check-format", "-o", made, source], check=True)
        return messages(made)

    return compile_


# The catalogues


def test_there_is_a_catalogue_for_each_language():
    """What is promised is there, and nothing else."""
    assert set(LANGUAGES) == {folder.name for folder in LOCALE.iterdir()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogues_have_the_same_messages(language):
    """What is translated into one language is translated into each, in all its plural forms."""
    keys = catalogue(language).keys()
    forms: dict[str, set[int]] = {}
    for key in keys:
        if isinstance(key, tuple):
            forms.setdefault(key[0], set()).add(key[1])

    assert named(catalogue("de")) == named(keys)
    assert forms
    assert {frozenset(range(LANGUAGES[language]))} == set(map(frozenset, forms.values()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_what_is_filled_in(language):
    """Each form has the placeholders and the tags of the English message, and no blank more."""
    for key, text in catalogue(language).items():
        english = message(key)

        assert sorted(KEPT.findall(english)) == sorted(KEPT.findall(text)), text
        assert text == text.strip() != ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_source(compiled, language):
    """What translators read is what Django reads."""
    assert catalogue(language) == compiled(LOCALE / language / "LC_MESSAGES" / "django.po")


def test_no_message_is_missed(compiled, tmp_path, monkeypatch):
    """Whatever is marked for translation has one in each language, and nothing else has."""
    package = tmp_path / "package"
    shutil.copytree(LOCALE.parent, package, ignore=shutil.ignore_patterns("__pycache__", "locale"))
    (package / "locale").mkdir()
    monkeypatch.chdir(package)

    call_command("makemessages", locale=["en"], verbosity=0)
    found = package / "locale" / "en" / "LC_MESSAGES" / "django.po"
    subprocess.run(["msgen", "--output-file", found, found], check=True)

    assert named(compiled(found)) == named(catalogue("de"))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "unbestätigt"),
        ("de-at", "unbestätigt"),
        ("es-mx", "sin confirmar"),
        ("fr-ca", "non confirmée"),
        ("pt", "por confirmar"),
        ("pt-br", "por confirmar"),
        ("it", "unconfirmed"),
    ],
)
def test_a_language_s_variants_are_served_by_it(language, text):
    """Brazil reads the Portuguese catalogue, and whoever has none reads English."""
    with translation.override(language):
        assert text == str(Status.UNCONFIRMED.label)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("de", {1: "1 Aktion", 2: "2 Aktionen"}),
        ("fr", {0: "0 action", 1: "1 action", 2: "2 actions"}),
        ("ja", {1: "1 個のアクション", 2: "2 個のアクション"}),
        (
            "ar",
            {
                0: "0 إجراء",
                1: "1 إجراء",
                2: "2 إجراءان",
                3: "3 إجراءات",
                11: "11 إجراءً",
                100: "100 إجراء",
            },
        ),
    ],
)
def test_a_number_chooses_its_plural(language, texts):
    """Each language has as many forms as it needs, and they go with its numbers."""
    with translation.override(language):
        assert texts == {
            number: translation.ngettext("%(count)d action", "%(count)d actions", number)
            % {"count": number}
            for number in texts
        }


def test_what_is_put_together_is_said_in_one_language():
    """A hint, a list of names and a name made of a word are as German as what stands around."""
    failed = Execution(status=Status.FAILED, created_at=timezone.now())
    with translation.override("de"):
        assert "Meinten Sie 'failed'?" == intake.did_you_mean("faild", Status.values)
        assert "Bekannt: de, ja." == intake.did_you_mean("xyz", ["ja", "de"])
        assert "bei „a“, „b“ und „c“." in outlook.story(failed, timezone.now(), ["a", "b", "c"])
        assert str(Job(verb="run_again")).startswith("erneut ausführen ")


# Numbers


@pytest.mark.parametrize(
    ("language", "number", "seconds"),
    [("en", "10,000", "1.5"), ("de", "10.000", "1,5")],
)
def test_numbers_are_written_as_the_language_writes_them(language, number, seconds):
    """A comma is no decimal point everywhere, nor a point: 10,000 may be ten."""
    with translation.override(language):
        assert presentation.counted(figures.Count(10_000)) == number
        assert presentation.counted(figures.Count(10_000, capped=True)).startswith(number)
        assert presentation.words(timedelta(seconds=1.52)).split() == [seconds, "s"]


# The pages


def plainly(text: str) -> str:
    """Return a text whose blanks are all alike."""
    return " ".join(text.split())


class Reader(HTMLParser):
    """Reads all that a page says, but for what is code or data."""

    SPOKEN = ("title", "aria-label", "placeholder", "data-ewf-said", "data-ewf-copy")
    SILENT = frozenset({"script", "style", "pre", "textarea", "bdi", "code"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        """Note what attributes say."""
        self._silent += tag in self.SILENT
        self.said += [value for name, value in attributes if name in self.SPOKEN and value]

    def handle_endtag(self, tag):
        """Listen again."""
        self._silent -= tag in self.SILENT

    def handle_data(self, data):
        """Note a piece of text."""
        if not self._silent and data.strip():
            self.said.append(plainly(data))


def english(language: str) -> re.Pattern:
    """Return what finds an English message that a language says otherwise."""
    plain = {
        english
        for key, text in catalogue(language).items()
        if (english := plainly(message(key))).casefold() != plainly(text).casefold()
        # The plural's other forms have no English of their own.
        and not (isinstance(key, tuple) and key[1])
    }
    # What is filled in may be anything, so a word between two placeholders is found in much that
    # is Django's own, which some of its versions leave in English.
    parts = {tuple(KEPT.split(each)) for each in plain}
    spoken = {
        each for each in parts if len(re.findall(r"[a-z]{2,}", " ".join(each))) > (len(each) > 1)
    }
    return re.compile("|".join(".*".join(map(re.escape, each)) for each in spoken), re.IGNORECASE)


def anything(status: str, cake: Cake, **values) -> Execution:
    """Return an execution about which there is much to say."""
    now = timezone.now()
    final = status not in {Status.QUEUED, Status.RUNNING, Status.UPCOMING}
    execution = Execution.objects.create(
        workflow="w-1",
        user_key="u-1",
        id_type="hashid",
        status=status,
        source_type="bakery.cake",
        source_id=str(cake.pk),
        created_at=now - timedelta(hours=3),
        due_at=None if final else now + timedelta(hours=1),
        attempts=0 if status == Status.CANCELED else 2,
        last_error="POST /workflows/w-1/execute: 422 no (request id q-1)",
        dispatched_at=now,
        finished_at=now if final else None,
        remote_id=f"r-{status}",
        actions_count=3,
        completed_actions_count=1,
        failed_actions_count=1,
        template={"nodes": [{"id": "n-1"}, {"id": "n-2"}], "edges": ["start_of_workflow-n-1"]},
        stats={
            "n-1": {"status": "completed", "completed_at": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
            "n-2": {"status": "idle", "scheduled_at": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
        },
        **values,
    )
    by = {"by": "p-1"}
    for source, detail in (
        ("delivery", {"attempt": 1, "verdict": "lost", "status_code": 500, "error": "no"}),
        ("poll", {"completed_actions_count": 1, "remote_status": "x-1"}),
        ("poll", {"misses": 1, "error": "no"}),
        ("callback", {}),
        ("person", {"verb": "run again", "run_again_as": "i-1", **by}),
        ("person", {"verb": "refresh"}),
    ):
        execution.events.create(status=status, source=source, detail=detail)
    return execution


def cake_saved(cake, **kwargs):
    """Fulfil every cake."""


def pages(client):
    """Yield the text of each page that the admin has."""

    def url(page, *args, model="execution"):
        return reverse(f"admin:embedworkflow_{model}_{page}", args=args)

    cake = Cake.objects.create(name="c-1")
    first, *_ = every = [anything(status, cake) for status in Status]
    ids = ",".join(each.pk.hex for each in every)
    yield client.get(url("changelist"))
    yield client.get(url("live_rows"), {"ids": ids})
    yield client.get(url("overview"))
    with declaring():
        triggers.trigger(post_save, sender=Cake, workflow="w-1", once=True)(cake_saved)
        yield client.get(url("triggers"))
    for each in every:
        yield client.get(url("change", each.pk))
        yield client.get(url("history", each.pk))
    for verb in ("run_again", "cancel", "stop", "resolve"):
        each = next(each for each in every if each.status in FITTING[verb])
        yield client.post(url(verb, each.pk))
        form = {"action": verb, "_selected_action": [each.pk for each in every]}
        yield client.post(url("changelist"), form, follow=True)
        across = url("changelist") + "?created=today&view=attention"
        yield client.post(across, form | {"select_across": "1"}, follow=True)
        yield client.post(url(verb, each.pk), {"confirmed": "yes"}, follow=True)
    kitchen = {"current_app": "kitchen"}
    yield client.get(reverse("admin:bakery_cake_change", args=[cake.pk], **kitchen))
    yield client.get(reverse("admin:bakery_cake_run_workflow", args=[cake.pk], **kitchen))
    for status in Job.Status:
        job = Job.objects.create(
            verb="cancel",
            filters={"statuses": ["queued"], "workflow": "w-1", "q": "q-1"},
            newest=first.pk,
            status=status,
            total=3,
            by="p-1",
        )
        yield client.get(url("change", job.pk, model="job"))
    yield client.get(url("changelist", model="job"))


FITTING = {
    "run_again": {Status.FAILED},
    "cancel": {Status.QUEUED},
    "stop": {Status.RUNNING},
    "resolve": {Status.UNCONFIRMED},
}


@pytest.mark.django_db
@pytest.mark.urls(__name__)
@pytest.mark.parametrize("language", ["ar", "de"])
def test_no_page_mixes_english_in(client, settings, monkeypatch, language):
    """Whatever can be seen is said in the viewer's language, in the direction it is read."""
    monkeypatch.setattr(actions, "MAX_SELECTED", 2)
    settings.LANGUAGE_CODE = language
    client.force_login(User.objects.create_superuser("chef"))
    left_over = english(language)

    for page in pages(client):
        text = page.text
        found = {said for said in Reader(text).said if left_over.fullmatch(said)}

        assert (200, set()) == (page.status_code, found), page.request["PATH_INFO"]
        if "<html" in text:
            assert f'dir="{"rtl" if language == "ar" else "ltr"}"' in text
