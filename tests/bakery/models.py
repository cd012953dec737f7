"""Cakes, orders and all that a signal can come from."""

from __future__ import annotations

import uuid

from django.db import models


class Ingredient(models.Model):
    """What a cake is made of."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Cake(models.Model):
    """A cake on order."""

    name = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    ingredients = models.ManyToManyField(Ingredient, blank=True)

    def __str__(self) -> str:
        return self.name


class WeddingCake(Cake):
    """A cake by multi-table inheritance."""

    tiers = models.PositiveIntegerField(default=3)


class CheapCake(Cake):
    """A cake by proxy."""

    class Meta:
        proxy = True


class Recipe(models.Model):
    """Something whose key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.title


class Baked(models.Model):
    """An abstract model."""

    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Receipt(models.Model):
    """A row of the project's own that an execution must not vanish under."""

    # An app without migrations gets its tables first, so the database cannot know of this one.
    execution = models.ForeignKey(
        "embedworkflow.Execution", on_delete=models.PROTECT, db_constraint=False
    )

    def __str__(self) -> str:
        return f"receipt of {self.execution_id}"


class Tagged(models.Model):
    """Something whose key is a text."""

    tag = models.CharField(max_length=300, primary_key=True)

    def __str__(self) -> str:
        return self.tag


class Batch(models.Model):
    """Something whose key has two parts."""

    pk = models.CompositePrimaryKey("oven", "number")
    oven = models.IntegerField()
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.oven}/{self.number}"


class Reading(models.Model):
    """Something whose key is a moment and a number with places, both written in many ways."""

    pk = models.CompositePrimaryKey("at", "degrees")
    at = models.DateTimeField()
    degrees = models.DecimalField(max_digits=6, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.degrees} at {self.at}"


class Seal(models.Model):
    """Something whose key is bytes, which MariaDB takes for no key."""

    mark = models.BinaryField(max_length=16, primary_key=True)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return bytes(self.mark).hex()


class Touchy(models.Model):
    """Something that cannot say what it is before it is saved."""

    cake = models.ForeignKey(Cake, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.cake.name
