"""The site as a WSGI application. Pages work; live updates need ASGI, and wait for a reload here."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_app.settings")
application = get_wsgi_application()
