"""Orders in the form in which a workflow gets them."""

from __future__ import annotations

from rest_framework import serializers

from .models import Customer, Order, OrderLine


class CustomerSerializer(serializers.ModelSerializer):
    class Meta:
        model = Customer
        fields = ("name", "email")


class OrderLineSerializer(serializers.ModelSerializer):
    product = serializers.StringRelatedField()

    class Meta:
        model = OrderLine
        fields = ("product", "quantity", "price")


class OrderSerializer(serializers.ModelSerializer):
    order_id = serializers.IntegerField(source="pk")
    customer = CustomerSerializer()
    lines = OrderLineSerializer(many=True)

    class Meta:
        model = Order
        fields = ("order_id", "customer", "lines", "total", "placed_at")
