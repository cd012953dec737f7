"""An execution's last error in parts: the call, the API's words, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from ..exceptions import escape_bidi
from ..models import Execution

# As an APIError writes itself; see exceptions.py.
_ERROR = re.compile(
    r"(?P<before>[^:]*: (?=[A-Z]+ /))?"
    r"(?:(?P<call>[A-Z]+ \S+): )?"
    r"(?:(?P<code>[1-5]\d\d)(?: |\Z))?"
    r"(?P<words>.*?)"
    r"(?: \(request id (?P<request_id>[^()]+)\))?",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What went wrong.

    Args:
        words: What the API said, or we.
        call: The request's method and path; empty if it was none.
        status_code: The answer's status; ``None`` if there was no answer.
        request_id: What the API's support asks for; empty if unknown.
        advice: What a person can do; empty if the sentences on what comes next say it all.
    """

    words: str
    call: str = ""
    status_code: int | None = None
    request_id: str = ""
    advice: str = ""


def explain(execution: Execution) -> Trouble | None:
    """Return what an execution's last error says; ``None`` if there was none."""
    found = _ERROR.fullmatch(escape_bidi(execution.last_error))
    if found is None or not execution.last_error:
        return None
    code = int(found["code"]) if found["code"] else None
    is_call = bool(found["call"] or code)
    return Trouble(
        words=f"{found['before'] or ''}{found['words']}",
        call=found["call"] or "",
        status_code=code,
        request_id=found["request_id"] or "",
        advice=_advice(execution, code) if is_call else "",
    )


def _advice(execution: Execution, code: int | None) -> str:
    text = _UNREACHED if code is None else _ADVICE.get(code, _ADVICE.get(code // 100, ""))
    if text is _NO_WORKFLOW and execution.remote_id:
        text = _NO_EXECUTION
    return str(text) % {
        "account": execution.account,
        "workflow": escape_bidi(execution.workflow),
        "id_type": execution.id_type,
        "user": escape_bidi(execution.user_key) or "main",
    }


_UNREACHED = _(
    "No usable answer came. Is the network well, and the setting BASE_URL right? "
    "“manage.py embedworkflow_check” tells."
)
_NO_WORKFLOW = _(
    "The API knows no workflow “%(workflow)s” by its %(id_type)s. Is it spelt like that in Embed "
    "Workflow, published, and that of the user “%(user)s” and of the environment of the account "
    "“%(account)s”?"
)
_NO_EXECUTION = _(
    "The API does not know the execution, or no longer. Was it deleted there, or does the account "
    "“%(account)s” have the key of another environment?"
)
_THROTTLED = _(
    "The API has had too many requests from this account. It is sent again by itself, no sooner "
    "than the API asked for."
)
_BROKEN = _(
    "The fault is on the side of the API, and may pass by itself. If it does not, its support "
    "wants to know the request id and the time."
)
# By the answer's status, or else by its hundreds.
_ADVICE: dict[int, Any] = {
    2: _BROKEN,
    3: _(
        "The API answers from elsewhere, and the secret key is never taken along. Correct the "
        "setting BASE_URL."
    ),
    4: _(
        "The API does not take this request as it is; sent unchanged, it is refused again. Look "
        "for what its words name in the data and in the workflow, then run it again with other "
        "data."
    ),
    5: _BROKEN,
    401: _(
        "The secret key of the account “%(account)s” is not accepted. Put the right one into the "
        "settings; the executions of the account wait for it, and no attempt is used up."
    ),
    403: _(
        "The secret key of the account “%(account)s” is known, but it may not do this. Look in "
        "Embed Workflow for what it may do, or put another one into the settings."
    ),
    404: _NO_WORKFLOW,
    408: _UNREACHED,
    409: _("The API is still at work on the first delivery; it is asked again under the same key."),
    410: _NO_WORKFLOW,
    425: _THROTTLED,
    429: _THROTTLED,
}
