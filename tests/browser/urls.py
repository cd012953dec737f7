"""The shop's addresses; the list's pages are short, so that there is more than one of them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from embedworkflow_django.admin import ExecutionAdmin
from embedworkflow_django.models import Execution

admin.site.unregister(Execution)


@admin.register(Execution)
class ShortListAdmin(ExecutionAdmin):
    """Executions, a dozen on a page."""

    list_per_page = 12


urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("embedworkflow_django.rest.urls")),
    path("callbacks/", include("embedworkflow_django.callbacks")),
]
