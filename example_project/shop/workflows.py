"""The workflows that the shop's models start, and what happens when one has ended.

``embedworkflow_django`` imports this module of every installed app at start-up.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from embedworkflow_django.models import Execution
from embedworkflow_django.signals import execution_finished
from embedworkflow_django.triggers import trigger

from .models import Order
from .serializers import OrderSerializer

ORDER_FULFILMENT = "order-fulfilment"
REVIEW_REQUEST = "review-request"


@trigger(post_save, sender=Order, workflow=ORDER_FULFILMENT)
def order_placed(order: Order, *, created: bool, **kwargs: Any) -> dict[str, Any] | None:
    """Fulfil every new order."""
    if not created:
        return None
    return {
        "order_id": order.pk,
        "name": order.customer.name,
        "email": order.customer.email,
        "total": order.total,
    }


# The order is saved more than once after it has shipped; its customer is asked once.
@trigger(post_save, sender=Order, workflow=REVIEW_REQUEST, once=True)
def order_shipped(order: Order, **kwargs: Any) -> OrderSerializer | None:
    """Ask for a review of what has been sent."""
    return OrderSerializer(order) if order.shipped_at else None


# At least once for each execution, so what it does may be done twice.
@receiver(execution_finished)
def close_order(execution: Execution, **kwargs: Any) -> None:
    """Close the order whose fulfilment has completed."""
    if execution.workflow == ORDER_FULFILMENT and execution.succeeded:
        order = execution.source
        if order is not None:
            order.mark_fulfilled()
