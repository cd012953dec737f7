"""The shop's addresses: storefront, admin, REST, and where workflows call back."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("embedworkflow_django.rest.urls")),
    path("callbacks/", include("embedworkflow_django.callbacks")),
]
