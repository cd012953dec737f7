"""Holds ready-made workflows for a shop, which run from the data of an order or a customer."""

from __future__ import annotations

from typing import Any

#: The shop's address for webhooks comes from the account's data; without one the call is left out.
_HAS_WEBHOOK = {
    "type": "Condition",
    "name": "Is there a shop to tell?",
    "conditions": [{"type": "present", "field": "webhook_url"}],
}
_TELL_HEADERS = "Authorization: Bearer {% redact webhook_token %}"

ORDER_FULFILMENT: dict[str, Any] = {
    "nodes": [
        {
            "id": "cnfrm1",
            "type": "Email",
            "name": "Confirm the order",
            "recipient": "{{ email }}",
            "subject": "Your order {{ order_id }}",
            "body": 'Dear {{ name | default: "customer" }}, we have received your order.',
        },
        {
            "id": "large1",
            "type": "Condition",
            "name": "Is it a large order?",
            "match_conditions": "all",
            "conditions": [{"type": "greater_than_or_equal", "field": "total", "value": 100}],
        },
        {
            "id": "gift01",
            "type": "Email",
            "name": "Send a voucher",
            "required_condition_result": True,
            "recipient": "{{ email }}",
            "subject": "A voucher for you",
            "body": "Thank you for an order of {{ total }}.",
        },
        {"id": "pack01", "type": "Delay", "name": "Pack it", "delay_n": 2, "delay_unit": "hour"},
        {"id": "shop01", **_HAS_WEBHOOK},
        {
            "id": "tell01",
            "type": "Webhook",
            "name": "Tell the shop",
            "required_condition_result": True,
            "url": "{{ webhook_url }}",
            "params": "event: order.shipped\norder_id: {{ order_id }}",
            "headers": _TELL_HEADERS,
        },
        {
            "id": "sent01",
            "type": "Email",
            "name": "Announce the parcel",
            "recipient": "{{ email }}",
            "subject": "Your order {{ order_id }} is on its way",
            "body": "It should arrive within two days.",
        },
    ],
    "edges": [
        "cnfrm1-large1",
        "large1-gift01",
        "cnfrm1-pack01",
        "pack01-shop01",
        "shop01-tell01",
        "pack01-sent01",
    ],
}

WELCOME_EMAIL: dict[str, Any] = {
    "nodes": [
        {
            "id": "hello1",
            "type": "Email",
            "name": "Welcome",
            "recipient": "{{ email }}",
            "subject": "Welcome",
            "body": 'Hello {{ name | default: "there" }}, good to have you.',
        },
        {"id": "wait01", "type": "Delay", "name": "A day", "delay_n": 1, "delay_unit": "day"},
        {
            "id": "tips01",
            "type": "Email",
            "name": "Tips",
            "recipient": "{{ email }}",
            "subject": "Five things to try",
            "body": "Start with the first.",
        },
    ],
    "edges": ["hello1-wait01", "wait01-tips01"],
}

ABANDONED_CART: dict[str, Any] = {
    "nodes": [
        {"id": "wait04", "type": "Delay", "name": "Wait", "delay_n": 4, "delay_unit": "hours"},
        {
            "id": "worth1",
            "type": "Condition",
            "name": "Worth a reminder?",
            "match_conditions": "any",
            "conditions": [
                {"type": "greater_than", "field": "total", "value": 20},
                {"type": "equal", "field": "customer", "value": "regular"},
            ],
        },
        {
            "id": "remind",
            "type": "Email",
            "name": "Remind",
            "required_condition_result": True,
            "recipient": "{{ email }}",
            "subject": "You left something behind",
            "body": "Your cart is waiting: {{ items[0].name }}.",
        },
    ],
    "edges": ["wait04-worth1", "worth1-remind"],
}

STOCK_ALERT: dict[str, Any] = {
    "nodes": [
        {
            "id": "order1",
            "type": "Webhook",
            "name": "Order from the supplier",
            "url": "{{ supplier_url }}",
            "params": "sku: {{ sku }}\nquantity: {{ quantity | default: 10 }}",
        },
        {
            "id": "mail01",
            "type": "Email",
            "name": "Tell purchasing",
            "recipient": "{{ buyer_email }}",
            "subject": "Ordered {{ sku }}",
            "body": "{{ quantity | default: 10 }} pieces are on their way.",
        },
    ],
    "edges": ["order1-mail01"],
}

#: Key, name and template of each; `stock-alert` fails unless its data name a supplier's URL.
WORKFLOWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("order-fulfilment", "Order fulfilment", ORDER_FULFILMENT),
    ("welcome-email", "Welcome e-mail", WELCOME_EMAIL),
    ("abandoned-cart", "Abandoned cart", ABANDONED_CART),
    ("stock-alert", "Stock alert", STOCK_ALERT),
)
