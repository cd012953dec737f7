"""The Django admin's pages for executions; importing it registers them.

To change a page, or to show it on an admin site of your own, unregister ours and register a
subclass. Put ``ExecutionAdminMixin`` in front of whatever ``ModelAdmin`` your theme asks for::

    admin.site.unregister(Execution)

    @admin.register(Execution, site=my_site)
    class MyExecutionAdmin(ExecutionAdminMixin, unfold.admin.ModelAdmin):
        def has_view_permission(self, request, obj=None):
            return super().has_view_permission(request, obj) and ...

``JobAdmin`` and ``JobAdminMixin`` do the same for jobs: what is done for all that match a filter.

To show executions on the pages of your own models, and to run workflows from there, put
``WorkflowsAdminMixin`` in front of their ``ModelAdmin``.
"""

from __future__ import annotations

from .executions import ExecutionAdmin, ExecutionAdminMixin
from .hosts import WorkflowsAdminMixin
from .jobs import JobAdmin, JobAdminMixin

__all__ = [
    "ExecutionAdmin",
    "ExecutionAdminMixin",
    "JobAdmin",
    "JobAdminMixin",
    "WorkflowsAdminMixin",
]
