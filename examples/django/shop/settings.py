"""Settings of the example. What matters is DATABASES."""

import os
from urllib.parse import unquote, urlsplit

_url = urlsplit(os.environ["DATABASE_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _url.hostname,
        "PORT": _url.port or 5432,
        "NAME": unquote(_url.path.lstrip("/")),
        "USER": unquote(_url.username or ""),
        "PASSWORD": unquote(_url.password or ""),
        # Connections stay open between requests. An idle one costs Tidegate little, and PostgreSQL nothing.
        "CONN_MAX_AGE": 600,
        # One that was closed meanwhile is noticed before a request fails on it.
        "CONN_HEALTH_CHECKS": True,
        # True would run every view in a transaction, so that all its reads went to the primary.
        "ATOMIC_REQUESTS": False,
        # False would have .iterator() declare a cursor WITH HOLD, which runs on the primary and keeps its connection.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}

INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# It serves no requests: nothing is signed with this.
SECRET_KEY = "example"
USE_TZ = True
