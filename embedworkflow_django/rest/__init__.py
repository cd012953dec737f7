"""The executions as a REST API, for Django REST framework (extra ``rest``).

Include its URLs where the API shall live::

    path("api/workflows/", include("embedworkflow_django.rest.urls"))
"""
