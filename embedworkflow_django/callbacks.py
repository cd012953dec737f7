"""Callbacks: the door through which a workflow says "look at me again".

With the setting ``CALLBACK_URL`` the data of each execution has a URL of its own, ``callback_url``,
which a step of the workflow may call. What comes is a hint and nothing else: it is not read, and
the API is asked instead. Include this module where ``CALLBACK_URL`` leads::

    path("embedworkflow/callbacks/", include("embedworkflow_django.callbacks"))
"""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from . import outbox, services, tokens
from .models import Execution

#: What a step calls by is not documented; none of these does more than another.
METHODS = ["GET", "POST", "PUT", "PATCH"]


@csrf_exempt
@login_not_required
@never_cache
@require_http_methods(METHODS)
def called_back(_request: HttpRequest, token: str) -> JsonResponse:
    """Have the API asked about an execution whose workflow has called: 202, or 404.

    The token is the permission: it was made for this execution, and allows this alone.

    Args:
        token: What stands in the URL.
    """
    execution = _execution(token)
    if execution is None:
        return JsonResponse({"error": "This is no execution's callback URL."}, status=404)
    services.called_back(execution)
    # A step takes values from the answer's JSON.
    return JsonResponse({}, status=202)


def _execution(token: str) -> Execution | None:
    using, pk = tokens.read(token) or ("", uuid.UUID(int=0))
    if using not in outbox.databases():
        return None
    return Execution.objects.using(using).only("status").filter(pk=pk).first()


app_name = "embedworkflow_callbacks"
urlpatterns = [path("<str:token>/", called_back, name="called-back")]
