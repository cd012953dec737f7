"""The storefront's addresses."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "shop"
urlpatterns = [
    path("", views.storefront, name="storefront"),
    path("orders/recent/", views.recent_orders, name="recent"),
    path("orders/<uuid:reference>/", views.order_detail, name="order"),
    path("orders/<uuid:reference>/status/", views.order_status, name="status"),
    path("webhooks/workflows/", views.webhook, name="webhook"),
]
