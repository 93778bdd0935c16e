"""The site as an ASGI application: `uvicorn site_app.asgi:application`."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_app.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402  settings are read once Django is set up

from site_app.body_limit import Application, limit_body  # noqa: E402

application = limit_body(cast("Application", django_application), max_bytes=settings.REQUEST_MAX_BYTES)
