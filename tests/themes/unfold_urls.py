"""The shop's addresses, its admin classes on Unfold's base."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from shop.admin import OrderAdmin
from shop.models import Order
from unfold.admin import ModelAdmin

from embedworkflow_django.admin import ExecutionAdminMixin, JobAdminMixin
from embedworkflow_django.models import Execution, Job

admin.site.unregister([Execution, Job, Order])


@admin.register(Execution)
class UnfoldExecutionAdmin(ExecutionAdminMixin, ModelAdmin):
    """Executions, as docs/admin.md has it."""


@admin.register(Job)
class UnfoldJobAdmin(JobAdminMixin, ModelAdmin):
    """Jobs."""


@admin.register(Order)
class UnfoldOrderAdmin(OrderAdmin, ModelAdmin):
    """The host's own admin."""


urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("embedworkflow_django.rest.urls")),
]
