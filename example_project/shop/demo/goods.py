"""The demo's shelf and its customers, and the person who may look behind the counter."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from decimal import Decimal

from django.contrib.auth.models import Permission, User

from ..checkout import place_order
from ..models import Order, Product

STAFF = "demo"

PRODUCTS = (
    ("leaf", "Sencha", "Green and grassy, from Shizuoka. 100 g.", "9.80"),
    ("cup", "Assam", "Malty, strong, and not afraid of milk. 250 g.", "7.20"),
    ("citrus", "Earl Grey", "Bergamot, and nothing that pretends to be. 125 g.", "6.40"),
    ("flower", "Chamomile", "Whole flowers for late evenings. 50 g.", "4.90"),
    ("teapot", "Teapot", "Stoneware for four cups, glazed by hand.", "38.00"),
    ("kettle", "Kettle", "Boils to the degree that you ask for.", "119.00"),
)
CUSTOMERS = (
    "Ada Lovelace",
    "Alan Turing",
    "Grace Hopper",
    "Edsger Dijkstra",
    "Barbara Liskov",
    "Emmy Noether",
    "Leonhard Euler",
)


def fill_shelf() -> None:
    """Put the goods on the shelf, unless they are there already."""
    for icon, name, description, price in PRODUCTS:
        product = {"icon": icon, "description": description, "price": Decimal(price)}
        Product.objects.get_or_create(name=name, defaults=product)


def hire_staff() -> str:
    """Let the user ``demo`` into the admin; return the password, new with every run."""
    password = secrets.token_hex(4)
    user, _ = User.objects.get_or_create(username=STAFF)
    user.is_staff = True
    user.set_password(password)
    user.save()
    apps = ["shop", "embedworkflow"]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=apps))
    return password


def orders() -> Iterator[Order]:
    """Place an order each time that the next one is asked for; there is always a next one."""
    shelf = list(Product.objects.all())
    for number, name in enumerate(itertools.cycle(CUSTOMERS)):
        first, second = shelf[number % len(shelf)], shelf[(number * 2 + 1) % len(shelf)]
        wanted = {first: 1 + number % 3, second: 1}
        yield place_order(name, f"{name.split()[0].lower()}@example.org", wanted)
