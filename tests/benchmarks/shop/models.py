"""What is saved where a contender listens to that."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """An order."""

    number = models.IntegerField()

    def __str__(self) -> str:
        return str(self.number)
