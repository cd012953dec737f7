"""The storefront, the page of an order, and the door for webhooks."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from embedworkflow_django.models import Execution

from .checkout import place_order
from .forms import OrderForm, ShipmentForm
from .models import Order

RECENT = 6


@require_http_methods(["GET", "HEAD", "POST"])
def storefront(request: HttpRequest) -> HttpResponse:
    """Show what there is, and take orders."""
    form = OrderForm(request.POST or None)
    if form.is_valid():
        customer = form.cleaned_data
        return redirect(place_order(customer["name"], customer["email"], form.quantities))
    return render(request, "shop/storefront.html", {"form": form, "orders": _recent()})


@never_cache
@require_GET
def recent_orders(request: HttpRequest) -> HttpResponse:
    """Show the latest orders, as the part of the storefront that is fetched again and again."""
    return render(request, "shop/_recent.html", {"orders": _recent()})


@never_cache
@require_GET
def order_detail(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Show an order to whoever knows its reference."""
    return render(request, "shop/order.html", _state(reference))


@never_cache
@require_GET
def order_status(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Show how far an order has come, as the part of its page that is fetched again and again."""
    return render(request, "shop/_status.html", _state(reference))


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> JsonResponse:
    """Take a workflow's word that an order has shipped; it may come more than once."""
    token = re.sub(r"^Bearer ", "", request.headers.get("Authorization", ""))
    if not constant_time_compare(token, settings.SHOP_WEBHOOK_TOKEN):
        return JsonResponse({"error": "The webhook's token is missing or wrong."}, status=401)
    form = ShipmentForm(_json_object(request.body))
    if not form.is_valid():
        return JsonResponse({"error": form.errors.get_json_data()}, status=422)
    with transaction.atomic():
        orders = Order.objects.select_for_update()
        order = orders.get(pk=form.cleaned_data["order_id"].pk)
        order.mark_shipped()
    return JsonResponse({"order_id": order.pk, "status": order.status})


def _recent() -> list[Order]:
    return list(Order.objects.select_related("customer")[:RECENT])


def _state(reference: UUID) -> dict[str, Any]:
    orders = Order.objects.select_related("customer").prefetch_related("lines__product")
    order = get_object_or_404(orders, reference=reference)
    executions = Execution.objects.for_source(order).order_by("id")
    return {
        "order": order,
        "executions": executions,
        "settled": all(execution.is_final for execution in executions),
    }


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
