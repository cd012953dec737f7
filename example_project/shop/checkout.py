"""Checkout: what a customer wants becomes an order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction

from embedworkflow_django.services import execute

from .models import Customer, Order, OrderLine, Product

WELCOME_EMAIL = "welcome-email"


@transaction.atomic
def place_order(name: str, email: str, quantities: Mapping[Product, int]) -> Order:
    """Store an order, and welcome a customer who is new.

    The executions are rows of this transaction: they are sent if it commits, and only then. The
    idempotency key makes sure that a customer is welcomed once, at whichever order.
    """
    customer, _ = Customer.objects.get_or_create(email=email.lower(), defaults={"name": name})
    total = sum((product.price * n for product, n in quantities.items()), Decimal())
    order = Order.objects.create(customer=customer, total=total)
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=product, quantity=n, price=product.price)
        for product, n in quantities.items()
    )
    execute(
        WELCOME_EMAIL,
        {"name": customer.name, "email": customer.email},
        source=customer,
        idempotency_key=f"welcome-{customer.pk}",
    )
    return order
