"""What a visitor chooses."""

from django import forms

DAYS = ((30, "The last 30 days"), (90, "The last 90 days"), (365, "The last 365 days"))


class ReportForm(forms.Form):
    """How far back the report goes."""

    days = forms.TypedChoiceField(label="Visits of", choices=DAYS, coerce=int, initial=365)
