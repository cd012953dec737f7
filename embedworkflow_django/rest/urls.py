"""The REST API's URLs, to be included where it shall live."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from .views import ExecutionViewSet

app_name = "embedworkflow"

router = SimpleRouter()
router.register("executions", ExecutionViewSet, basename="execution")
urlpatterns = router.urls
