"""The tiny project: a view and an async view that save a cake, and may execute a workflow."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from django.db.models.signals import post_save
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST

from embedworkflow_django.services import aexecute
from embedworkflow_django.triggers import suppressed, trigger
from tests.bakery.models import Cake

from .api import WORKFLOW

with suppress(ImportError):
    import watched  # noqa: F401 - where the file is there, saving it restarts ``runserver``


@trigger(post_save, sender=Cake, workflow=WORKFLOW)
def cake_saved(cake, created, **kwargs):
    """Execute with the cake's name, which is the request's."""
    return {"name": cake.name}


@require_POST
@transaction.atomic
def triggering(request: HttpRequest) -> HttpResponse:
    """Save a cake, which triggers."""
    Cake.objects.create(name=request.GET["name"])
    return HttpResponse("saved")


@require_POST
@transaction.atomic
def plain(request: HttpRequest) -> HttpResponse:
    """Save a cake and nothing else."""
    with suppressed():
        Cake.objects.create(name=request.GET["name"])
    return HttpResponse("saved")


async def atriggering(request: HttpRequest) -> HttpResponse:
    """Save a cake, and execute."""
    with suppressed():
        cake = await Cake.objects.acreate(name=request.GET["name"])
    await aexecute(WORKFLOW, {"name": cake.name}, source=cake)
    return HttpResponse("saved")


async def aplain(request: HttpRequest) -> HttpResponse:
    """Save a cake and nothing else."""
    with suppressed():
        await Cake.objects.acreate(name=request.GET["name"])
    return HttpResponse("saved")


def hello(request: HttpRequest) -> HttpResponse:
    """Say that the server serves."""
    return HttpResponse("hello")


urlpatterns = [
    path("", hello),
    path("triggering", triggering),
    path("plain", plain),
    path("atriggering", atriggering),
    path("aplain", aplain),
]
