"""The models."""

from django.db import models


class Order(models.Model):
    """Something that was ordered."""

    item = models.TextField()
