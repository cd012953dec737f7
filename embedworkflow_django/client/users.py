"""End users of the account, and the account itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from .payloads import Account, Usage, User, UserToken
from .resource import UNSET, Resource, Unset, as_moment, as_query, assigned, given


class Users(Resource):
    """The endpoints ``/users``, ``/user_token`` and ``/account``."""

    def list_users(
        self,
        *,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int | None = None,
    ) -> Iterator[User]:
        """Iterate over end users, newest first, page by page (reference/users/list-users).

        Args:
            starting_after: Only those older than the user with this id (not key).
            ending_before: Those newer than the user with this id (not key).
            limit: Users per page, 1 to 100; the API's default is 25.
        """
        return self._list(
            User,
            "users",
            starting_after=starting_after,
            ending_before=ending_before,
            limit=limit,
        )

    def retrieve_user(self, key: str) -> User:
        """Return the end user with this key (reference/users/retrieve-user)."""
        return self._transport.call("GET", "users", key).read(User)

    def upsert_user(
        self,
        key: str,
        *,
        name: str | Unset | None = UNSET,
        email: str | Unset | None = UNSET,
        data: Mapping[str, Any] | Unset | None = UNSET,
        groups: Sequence[str] | Unset | None = UNSET,
        time_zone: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> User:
        """Make or change an end user (reference/users/upsert-user).

        What is not given stays as it is; None is sent as null, which unsets it.

        Args:
            key: Your own key of the user.
            name: The user's name.
            email: The user's address.
            data: Values for the user's schema; whether they are merged is not documented.
            groups: Permission groups; for the admin role only.
            time_zone: An IANA name, such as ``Europe/Berlin``.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        body = assigned(name=name, email=email, data=data, groups=groups, time_zone=time_zone)
        return self._transport.call(
            "PUT", "users", key, body=body, idempotency_key=idempotency_key
        ).read(User)

    def delete_user(self, key: str) -> None:
        """Delete the end user with this key (vendor's SDK)."""
        self._delete("users", key)

    def create_user_token(
        self,
        *,
        key: str | None = None,
        id: str | None = None,  # noqa: A002 -- the API's own word
        idempotency_key: str | None = None,
    ) -> UserToken:
        """Return a token that lets a browser act as an end user (reference/user_token).

        Args:
            key: Your own key of the user; the API's default is ``main``.
            id: The API's id of the user.
            idempotency_key: Under one key, it happens once within 24 hours.
        """
        return self._transport.call(
            "POST", "user_token", body=given(key=key, id=id), idempotency_key=idempotency_key
        ).read(UserToken)

    def retrieve_account(self) -> Account:
        """Return the account that the secret key belongs to.

        Unconfirmed: only changing the account is documented.
        """
        return self._transport.call("GET", "account").read(Account)

    def update_account(
        self,
        *,
        company_name: str | Unset | None = UNSET,
        user_name: str | Unset | None = UNSET,
        theme: str | Unset | None = UNSET,
        time_zone: str | Unset | None = UNSET,
        custom_domain: str | Unset | None = UNSET,
        groups: Sequence[str] | Unset | None = UNSET,
        action_type_categories_enabled: bool | Unset | None = UNSET,
        action_type_categories: Sequence[Any] | Unset | None = UNSET,
        data: Mapping[str, Any] | Unset | None = UNSET,
        user_data_schema: Sequence[Mapping[str, Any]] | Unset | None = UNSET,
        data_schema: Sequence[Mapping[str, Any]] | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> Account:
        """Change the account (reference/account/update-account).

        What is not given stays as it is; None is sent as null. Each argument is the property of
        the same name; ``groups`` is for the admin role only.
        """
        body = assigned(
            company_name=company_name,
            user_name=user_name,
            theme=theme,
            time_zone=time_zone,
            custom_domain=custom_domain,
            groups=groups,
            action_type_categories_enabled=action_type_categories_enabled,
            action_type_categories=action_type_categories,
            data=data,
            user_data_schema=user_data_schema,
            data_schema=data_schema,
        )
        return self._transport.call(
            "PUT", "account", body=body, idempotency_key=idempotency_key
        ).read(Account)

    def account_usage(
        self,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        user_key: str | None = None,
    ) -> Usage:
        """Return what the account used in a while (reference/account/usage).

        Args:
            start_time: Its beginning. Without both, the documented example is about 30 days, from
                the start of a day to the end of one; which days they are is not documented.
            end_time: Its end.
            user_key: Only what this end user used.

        Raises:
            ValueError: a moment is naive.
        """
        query = as_query(
            start_time=as_moment(start_time), end_time=as_moment(end_time), user_key=user_key
        )
        return self._transport.call("GET", "account", "usage", query=query).read(Usage)
