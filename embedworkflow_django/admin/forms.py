"""The forms of the pages: how an execution is resolved, and with what data one is run again."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class ResolveForm(forms.Form):
    """What a person has found out about an execution whose answer was lost."""

    answer = forms.ChoiceField(
        label=_("What have you found?"),
        widget=forms.RadioSelect,
        choices=(
            ("happened", _("It did happen. Its remote id is given below.")),
            ("resend", _("It did not happen. Send it again.")),
        ),
    )
    remote_id = forms.CharField(
        label=_("Remote id"),
        max_length=64,
        required=False,
        help_text=_("Its id in Embed Workflow; needed only if it did happen."),
    )

    def clean(self) -> dict[str, Any]:
        """Ask for the remote id of what did happen, and drop that of what did not."""
        data = self.cleaned_data
        if data.get("answer") == "resend":
            data["remote_id"] = ""
        elif not data.get("remote_id") and "remote_id" not in self.errors:
            self.add_error("remote_id", _("Give the remote id of the execution that did happen."))
        return data


NO_KEY = _(
    "Nothing was done: the answer came without the key of its question. Please answer once more."
)


class OnceForm(forms.Form):
    """What a question carries so that it is answered once: pressing twice, or going back."""

    key = forms.UUIDField(error_messages=dict.fromkeys(("required", "invalid"), NO_KEY))

    @property
    def question(self) -> uuid.UUID:
        """The key that the page carries: the one that came, or a new one."""
        came = self.is_bound and "key" not in self.errors
        return self.cleaned_data["key"] if came else uuid.uuid4()

    def idempotency_key(self, user: Any, *about: Any) -> str:
        """Return the key of what an answer creates: nobody else's, and nothing else's.

        Args:
            user: Who answers.
            about: What is to be done, and to what.
        """
        said = json.dumps([str(user.pk), *map(str, about)])
        return f"admin:{uuid.uuid5(self.question, said)}"


class DataForm(forms.Form):
    """The data that an execution is run again with, as a person may have edited it."""

    execution_data = forms.CharField(
        label=_("Data"),
        help_text=_("A JSON object. The new execution gets exactly this."),
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "dir": "ltr"}),
    )

    def clean_execution_data(self) -> Any:
        """Return the JSON; whether it may be execution data, ``services.run_again`` says."""
        try:
            data = json.loads(self.cleaned_data["execution_data"])
        except (ValueError, RecursionError) as error:
            problem = gettext("This is no JSON: %(error)s.") % {"error": error}
            raise forms.ValidationError(problem) from None
        if data is None:
            # To the services it is the same as nothing said.
            problem = gettext("Execution data should be a dict, not %s.") % "null"
            raise forms.ValidationError(problem)
        return data
