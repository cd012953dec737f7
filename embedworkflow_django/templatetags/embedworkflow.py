"""Template tags: the hosted builder, and what else of it can stand in a page of the project's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import template
from django.forms.utils import flatatt
from django.template.context import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .. import conf, embed

register = template.Library()


@register.simple_tag(takes_context=True)
def embedworkflow_loader(
    context: Context,
    user_key: str | int | UUID,
    *,
    account: str = conf.DEFAULT_ACCOUNT,
    lifetime: timedelta | float = embed.LIFETIME,
    discover: bool = False,
    email: str | None = None,
    name: str | None = None,
) -> SafeString:
    """Fill the page's elements, wherever in it they stand; once in a page.

    Whoever sees the page acts as the user: its key comes from the session, and never from the
    request, and nobody else gets the page from a cache.

    Args:
        context: The template's; Django's ``csp_nonce`` in it is passed on.
        user_key: The end user.
        account: The account's alias.
        lifetime: How long the page can be used, as a timedelta or in seconds.
        discover: Whether the API makes the user if there is none of this key.
        email: The user's address.
        name: The user's name.

    Raises:
        ConfigurationError: The account lacks one of its keys, or PyJWT is missing.
        ValueError: The user's key is blank, or something else; or no time is left.
    """
    attributes = {
        "src": static("embedworkflow_django/embed.js"),
        "defer": True,
        "nonce": context.get("csp_nonce"),
        "data-loader": embed.LOADER,
        "data-publishable-key": embed.publishable_key(account),
        "data-jwt": embed.user_jwt(
            user_key,
            account=account,
            lifetime=lifetime,
            discover=discover,
            email=email,
            name=name,
        ),
    }
    return format_html("<script{}></script>", flatatt(attributes))


@register.simple_tag
def embedworkflow_app(base_path: str, *, height: str = "80vh") -> SafeString:
    """Show the builder, which goes through its own addresses below a path.

    Args:
        base_path: The path, such as ``{% url %}`` returns it; all below it leads to this page.
        height: In whatever unit CSS has, but no percentage.

    Raises:
        ValueError: The path is blank.
    """
    path = base_path.strip("/")
    if not path:
        raise ValueError(f"base_path should be a path below the site's own, not {base_path!r}.")
    return _element("app", base_path=path, embedworkflow_height=height)


@register.simple_tag
def embedworkflow_settings_form(
    *, workflow_id: str | None = None, workflow_key: str | None = None
) -> SafeString:
    """Show the form of the settings of one workflow."""
    return _element("settings-form", workflow_id=workflow_id, workflow_key=workflow_key)


@register.simple_tag
def embedworkflow_connections() -> SafeString:
    """Show the connections to other services."""
    return _element("connections")


@register.simple_tag
def embedworkflow_field(
    *,
    workflow_id: str | None = None,
    workflow_key: str | None = None,
    field_id: str | None = None,
    connection: str | None = None,
    field: str | None = None,
    connection_id: str | None = None,
    value: str | None = None,
) -> SafeString:
    """Show one field of a workflow's form, by ``field_id``, or of a connection's, by ``field``."""
    return _element(
        "field",
        workflow_id=workflow_id,
        workflow_key=workflow_key,
        field_id=field_id,
        connection=connection,
        field=field,
        connection_id=connection_id,
        value=value,
    )


def _element(kind: str, **data: Any) -> SafeString:
    attributes = {f"data-{name.replace('_', '-')}": value for name, value in data.items()}
    return format_html('<div class="EWF__{}"{}></div>', kind, flatatt(attributes))
