"""What servers of WSGI load; the environment says whether that commits an execution already."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
if name := os.environ.get("EMBEDWORKFLOW_WEATHER_FIRST"):
    from django.db import connection

    from embedworkflow_django.services import execute

    from .api import WORKFLOW

    execute(WORKFLOW, {"name": name})
    connection.close()  # Who forks shares no connection to a database with the child.
