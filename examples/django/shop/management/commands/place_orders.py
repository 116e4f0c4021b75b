"""manage.py place_orders: each order is written, then read at once on another connection."""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection, transaction

from shop.models import Order

ROUNDS = 20
# How long to wait for replicas to be up to date, in seconds.
PATIENCE = 20


def route():
    """Where the last statement of this thread's connection went, and why."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW tidegate.last_route")
            return cursor.fetchone()[0]
    except ProgrammingError as error:
        if error.__cause__.sqlstate == "42704":
            return "to: PostgreSQL itself, no Tidegate here"
        raise


def role(said):
    """`replica` or `primary`, out of `to: replica pg2:5432, reason fresh`."""
    return said.split()[1]


def find(item):
    """Whether the order of this item is there, and where that was read."""
    found = Order.objects.filter(item=item).first() is not None
    return found, route()


def in_a_transaction(item):
    """The same, in a transaction."""
    with transaction.atomic():
        return find(item)


class Command(BaseCommand):
    """The command."""

    help = "Writes orders and reads each at once on another connection."

    def handle(self, *args, **options):
        # Django has a connection for each thread, so this one stands for another request in another worker.
        with ThreadPoolExecutor(max_workers=1) as other_request:
            self.shop(other_request)

    def shop(self, other_request):
        """Orders, reads, and says what happened."""
        stale, at_once, later = 0, Counter(), Counter()
        for number in range(ROUNDS):
            item = f"{os.getpid()}-{number}"
            Order.objects.create(item=item)
            found, said = other_request.submit(find, item).result()
            stale += not found
            at_once[role(said)] += 1

        deadline = time.monotonic() + PATIENCE
        while later["replica"] < ROUNDS and later["PostgreSQL"] < ROUNDS and time.monotonic() < deadline:
            _, said = other_request.submit(find, item).result()
            later[role(said)] += 1
            time.sleep(0.01)
        _, atomic = other_request.submit(in_a_transaction, item).result()

        self.stdout.write(f"{ROUNDS} orders, each read at once on another connection: {stale} not seen")
        self.stdout.write(f"those reads: primary {at_once['primary']}, replica {at_once['replica']}")
        self.stdout.write(f"reads while nobody writes: primary {later['primary']}, replica {later['replica']}")
        self.stdout.write(f"the last of them: {said}")
        self.stdout.write(f"the same in transaction.atomic(): {atomic}")
        if stale:
            raise CommandError("a read has missed a write")
