"""What the Python driver checks share: a list of named checks, run in order, each with what it needs."""

import os
import sys
import traceback
import uuid

URL = os.environ.get("DATABASE_URL") or sys.exit("DATABASE_URL is not set")

# Everything a run makes lies in a schema of its own, so that runs do not meet.
SCHEMA = f"check_{uuid.uuid4().hex[:12]}"

CHECKS = []


def check(function):
    """Adds a function to the checks."""
    CHECKS.append(function)
    return function


def equal(actual, expected, what=""):
    """Fails unless both are equal."""
    if actual != expected:
        raise AssertionError(f"{what or 'value'}: expected {expected!r}, got {actual!r}")


def failed(function, error):
    """Reports a failed check and ends the run."""
    traceback.print_exception(error)
    print(f"FAILED {function.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)


def done():
    """Reports that every check passed."""
    print(f"ok {len(CHECKS)} checks")
