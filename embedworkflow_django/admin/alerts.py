"""What is wrong at large: accounts that the API does not let in, or whose settings are wrong."""

from __future__ import annotations

from .. import figures
from ..exceptions import escape_bidi


def refused_accounts() -> dict[str, str]:
    """Return the accounts that wait for a person, each with the API's words.

    The living workers say which accounts they have paused; where no worker lives, the executions
    that are due longest do. One query, or two, for a few rows.
    """
    return {pause.account: escape_bidi(pause.reason) for pause in figures.pauses() if pause.refused}
