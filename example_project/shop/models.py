"""What the shop keeps: customers, goods, and orders."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models
from django.urls import reverse
from django.utils import timezone


class Customer(models.Model):
    """Somebody who has ordered, known by an e-mail address."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something on the shelf."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=200)
    icon = models.SlugField(help_text="A drawing of goods.svg.")
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What a customer has ordered, and how far it has come."""

    class Status(models.TextChoices):
        PLACED = "placed"
        SHIPPED = "shipped"
        FULFILLED = "fulfilled"

    # Who knows it may see the order's page: customers have no accounts here.
    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    total = models.DecimalField(max_digits=9, decimal_places=2)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PLACED)
    placed_at = models.DateTimeField(default=timezone.now)
    shipped_at = models.DateTimeField(null=True, blank=True)
    fulfilled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"order {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.reference])

    def mark_shipped(self) -> None:
        """Note that the parcel has left; a second time changes nothing."""
        if self.status == self.Status.PLACED:
            self.status, self.shipped_at = self.Status.SHIPPED, timezone.now()
            self.save(update_fields=["status", "shipped_at"])

    def mark_fulfilled(self) -> None:
        """Note that all is done; a second time changes nothing."""
        if self.status != self.Status.FULFILLED:
            self.status, self.fulfilled_at = self.Status.FULFILLED, timezone.now()
            self.save(update_fields=["status", "fulfilled_at"])


class OrderLine(models.Model):
    """One product of an order, at the price of that day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveSmallIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product}"

    @property
    def total(self) -> Decimal:
        return self.price * self.quantity
