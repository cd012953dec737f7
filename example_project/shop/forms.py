"""What comes in from outside: a customer's order, and a workflow's webhook."""

from __future__ import annotations

from typing import Any

from django import forms

from .models import Order, Product

LARGEST_QUANTITY = 20


class OrderForm(forms.Form):
    """Who orders, and how much of each product."""

    name = forms.CharField(max_length=100)
    email = forms.EmailField(label="E-mail")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.products = list(Product.objects.all())
        for product in self.products:
            self.fields[self.field_name(product)] = forms.IntegerField(
                label=f"Quantity of {product}",
                min_value=0,
                max_value=LARGEST_QUANTITY,
                required=False,
                initial=0,
            )

    @staticmethod
    def field_name(product: Product) -> str:
        return f"quantity_{product.pk}"

    @property
    def shelf(self) -> list[tuple[Product, forms.BoundField]]:
        """Each product with its field."""
        return [(product, self[self.field_name(product)]) for product in self.products]

    @property
    def quantities(self) -> dict[Product, int]:
        wanted = {p: self.cleaned_data.get(self.field_name(p)) or 0 for p in self.products}
        return {product: quantity for product, quantity in wanted.items() if quantity}

    def clean(self) -> None:
        super().clean()
        if not self.errors and not self.quantities:
            raise forms.ValidationError("Choose at least one thing.")


class ShipmentForm(forms.Form):
    """What the webhook of the workflow order-fulfilment says."""

    event = forms.ChoiceField(choices=[("order.shipped", "shipped")])
    order_id = forms.ModelChoiceField(Order.objects.all())
