"""The one form of the pages: how an unconfirmed execution is resolved."""

from __future__ import annotations

from typing import Any

from django import forms
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
