"""What workflows reach: kinds of actions, connections to other services, installed apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .payloads import ActionType, AppConnection, InstalledApp
from .resource import UNSET, Resource, Unset, as_query, assigned, given
from .transport import Identifier


class Integrations(Resource):
    """The endpoints ``/action_types``, ``/app_connections`` and ``/installed_apps``."""

    def list_action_types(
        self,
        *,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[ActionType]:
        """Iterate over the kinds of actions, page by page (vendor's generated client).

        Args:
            starting_after: Only those older than the one with this id.
            ending_before: Those newer than the one with this id.
            limit: Kinds per page, 1 to 100; the API's default is 25.
        """
        return self._list(
            ActionType,
            "action_types",
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def create_action_type(
        self,
        *,
        name: str,
        description: str | None = None,
        type: str | None = None,  # noqa: A002 -- the API's own word
        on: bool | None = None,
        params_draft: str | None = None,
        headers_draft: str | None = None,
        url_draft: str | None = None,
        http_method_draft: str | None = None,
        code_draft: str | None = None,
        form_draft: Sequence[Mapping[str, Any]] | None = None,
        response_data_schema_draft: Sequence[Mapping[str, Any]] | None = None,
        groups: Sequence[str] | None = None,
        icon_draft: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> ActionType:
        """Make a kind of action (reference/action_types/create-action-type).

        The documentation shows what each property means, but not every property's name; the names
        ending in ``_draft`` are derived from the object that is answered.

        Args:
            name: Its name.
            description: What it does.
            type: Its type.
            on: Whether workflows can use it.
            params_draft: HTTP parameters, ``key: value``, one a line.
            headers_draft: HTTP headers, ``key: value``, one a line.
            url_draft: Where it calls.
            http_method_draft: How it calls.
            code_draft: A snippet of JavaScript.
            form_draft: The fields that a workflow's author fills in.
            response_data_schema_draft: The values to take from the answer.
            groups: Permission groups; for the admin role only.
            icon_draft: Its icon.
            extra: Properties whose names could not be seen, such as the one that publishes at once.
            idempotency_key: Under one key, the API makes one within 24 hours.
        """
        body = given(
            name=name,
            description=description,
            type=type,
            on=on,
            params_draft=params_draft,
            headers_draft=headers_draft,
            url_draft=url_draft,
            http_method_draft=http_method_draft,
            code_draft=code_draft,
            form_draft=form_draft,
            response_data_schema_draft=response_data_schema_draft,
            groups=groups,
            icon_draft=icon_draft,
        )
        return self._transport.call(
            "POST", "action_types", body={**body, **(extra or {})}, idempotency_key=idempotency_key
        ).read(ActionType)

    def retrieve_action_type(self, action_type_id: Identifier) -> ActionType:
        """Return one kind of action (reference/action_types/retrieve-action-type)."""
        return self._transport.call("GET", "action_types", action_type_id).read(ActionType)

    def update_action_type(
        self,
        action_type_id: Identifier,
        properties: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> ActionType:
        """Change a kind of action.

        Unconfirmed: no source shows ``PUT /action_types/{id}``.

        Args:
            action_type_id: Its id.
            properties: What to change, by the names of ``create_action_type``.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        return self._transport.call(
            "PUT", "action_types", action_type_id, body=properties, idempotency_key=idempotency_key
        ).read(ActionType)

    def delete_action_type(self, action_type_id: Identifier) -> None:
        """Delete a kind of action (vendor's generated client)."""
        self._delete("action_types", action_type_id)

    def list_app_connections(
        self,
        *,
        user_key: str | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[AppConnection]:
        """Iterate over connections to other services, page by page (vendor's SDK).

        Args:
            user_key: Only those of this end user.
            starting_after: Only those older than the one with this id.
            ending_before: Those newer than the one with this id.
            limit: Connections per page, 1 to 100; the API's default is 25.
        """
        return self._list(
            AppConnection,
            "app_connections",
            user_key=user_key,
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def create_app_connection(
        self,
        *,
        name: str,
        app_type: str,
        config: Mapping[str, Any],
        user_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> AppConnection:
        """Connect another service (reference/app_connections/create-app-connection).

        Args:
            name: What to call the connection.
            app_type: The service, such as ``slack``.
            config: The service's credentials, which the API stores encrypted and never answers.
            user_key: The end user who owns it; the API's default is ``main``.
            idempotency_key: Under one key, the API makes one connection within 24 hours.
        """
        body = given(name=name, app_type=app_type, config=config, user_key=user_key)
        return self._transport.call(
            "POST", "app_connections", body=body, idempotency_key=idempotency_key
        ).read(AppConnection)

    def retrieve_app_connection(
        self, connection_id: Identifier, *, user_key: str | None = None
    ) -> AppConnection:
        """Return one connection (reference/app_connections/retrieve-app-connection)."""
        query = as_query(user_key=user_key)
        return self._transport.call("GET", "app_connections", connection_id, query=query).read(
            AppConnection
        )

    def update_app_connection(
        self,
        connection_id: Identifier,
        *,
        name: str | Unset = UNSET,
        app_type: str | Unset = UNSET,
        config: Mapping[str, Any] | Unset = UNSET,
        user_key: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> AppConnection:
        """Change a connection (vendor's SDK); what is not given stays as it is.

        Args:
            connection_id: The connection's id.
            name: What to call it.
            app_type: The service.
            config: The service's credentials.
            user_key: The end user who owns it.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = assigned(name=name, app_type=app_type, config=config, user_key=user_key)
        return self._transport.call(
            "PUT", "app_connections", connection_id, body=body, idempotency_key=idempotency_key
        ).read(AppConnection)

    def delete_app_connection(
        self, connection_id: Identifier, *, user_key: str | None = None
    ) -> None:
        """Delete a connection (vendor's SDK)."""
        self._delete("app_connections", connection_id, user_key=user_key)

    def install_app(
        self,
        app_identifier: str,
        *,
        groups: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> InstalledApp:
        """Install an app on the account (reference/installed_apps/install-app).

        Args:
            app_identifier: The app, such as ``slack``.
            groups: Permission groups; for the admin role only.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = given(app_identifier=app_identifier, groups=groups)
        return self._transport.call(
            "POST", "installed_apps", body=body, idempotency_key=idempotency_key
        ).read(InstalledApp)

    def retrieve_installed_app(self, app_identifier: str) -> InstalledApp:
        """Return an installed app (reference/installed_apps)."""
        return self._transport.call("GET", "installed_apps", app_identifier).read(InstalledApp)

    def update_installed_app(
        self,
        app_identifier: str,
        *,
        groups: Sequence[str] | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> InstalledApp:
        """Change who may use an installed app (reference/installed_apps).

        Args:
            app_identifier: The app, such as ``slack``.
            groups: Permission groups; for the admin role only.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        return self._transport.call(
            "PUT",
            "installed_apps",
            app_identifier,
            body=assigned(groups=groups),
            idempotency_key=idempotency_key,
        ).read(InstalledApp)
