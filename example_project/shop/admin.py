"""The shop in the admin: orders with the executions that are about them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from embedworkflow_django.models import Execution, source_type

from .models import Customer, Order, OrderLine, Product

EXECUTIONS = "admin:embedworkflow_execution_changelist"
EXECUTION = "admin:embedworkflow_execution_change"
MOMENTS = ("placed_at", "shipped_at", "fulfilled_at")


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("__str__", "customer", "total", "status", "placed_at", "workflows")
    list_filter = ("status",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    inlines = (OrderLineInline,)
    fields = ("customer", "total", "status", *MOMENTS, "executions")
    readonly_fields = (*MOMENTS, "executions")

    def get_fields(self, request: HttpRequest, obj: Order | None = None) -> list[Any]:
        fields = list(super().get_fields(request, obj))
        may_see = request.user.has_perm("embedworkflow.view_execution")
        return fields if obj and may_see else [name for name in fields if name != "executions"]

    @admin.display(description="executions")
    def workflows(self, order: Order) -> str:
        """Link to the executions that are about the order, without a query for each row."""
        query = urlencode({"q": f"{source_type(order)}:{order.pk}"})
        return format_html('<a href="{}?{}">show</a>', reverse(EXECUTIONS), query)

    @admin.display(description="executions")
    def executions(self, order: Order) -> str:
        """List the executions that are about the order."""
        return format_html_join(
            "",
            '<div><a href="{}">{}</a> — {}, {}/{}</div>',
            (
                (
                    reverse(EXECUTION, args=[execution.pk]),
                    execution.workflow,
                    execution.get_status_display(),
                    execution.completed_actions_count,
                    execution.actions_count,
                )
                for execution in Execution.objects.for_source(order)
            ),
        )


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price")


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "email")
    search_fields = ("name", "email")
