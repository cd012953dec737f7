"""The shop in the admin: orders with the workflows that are about them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from embedworkflow_django.admin import WorkflowsAdminMixin

from .models import Customer, Order, OrderLine, Product
from .serializers import OrderSerializer
from .workflows import ORDER_FULFILMENT, order_placed

MOMENTS = ("placed_at", "shipped_at", "fulfilled_at")


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(WorkflowsAdminMixin, admin.ModelAdmin):
    list_display = ("__str__", "customer", "total", "status", "placed_at")
    list_filter = ("status",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    inlines = (OrderLineInline,)
    fields = ("customer", "total", "status", *MOMENTS)
    readonly_fields = MOMENTS

    def get_workflow_data(self, request: HttpRequest, obj: Order, workflow: str) -> dict[str, Any]:
        """Offer what the triggers send; neither of them does anything but to return it."""
        if workflow == ORDER_FULFILMENT:
            return order_placed(obj, created=True)
        return OrderSerializer(obj).data


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price")


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("name", "email")
    search_fields = ("name", "email")
