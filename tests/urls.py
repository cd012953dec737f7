"""The URLs of the project that the tests run in."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("embedworkflow_django.rest.urls")),
    path("callbacks/", include("embedworkflow_django.callbacks")),
]
