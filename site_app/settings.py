"""Settings of the reference site.

Everything a deployment changes is an environment variable; everything has a default that is safe on a laptop:

    DATABASE_URL          the Postgres to use; without it an embedded one is started for the life of the process
    DJANGO_SECRET_KEY     signs cookies; without it a development key is made once and kept in .cache/
    DJANGO_DEBUG          1 shows errors in the browser (default 0)
    DJANGO_ALLOWED_HOSTS  host names, separated by commas (default: this machine)
    DJANGO_HTTPS          1 when the site is reached through https: cookies and redirects insist on it
    SITE_MEDIA_ROOT       folder of the pictures and reports (default media/)
    SITE_STATIC_ROOT      folder for collectstatic; not needed, see WHITENOISE_USE_FINDERS
    SITE_GALLERY_LIMIT    photos the gallery holds (default 1000)
    SITE_SCHEDULES        0 leaves the site's schedules out (default 1)
"""

import os
from pathlib import Path

import dj_database_url
import django

from site_app.embedded_postgres import database_url
from site_app.secret_key import development_key

BASE_DIR = Path(__file__).resolve().parent.parent
SITE_DIR = BASE_DIR / "site_app"

DEBUG = os.environ.get("DJANGO_DEBUG", "0") == "1"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or development_key(BASE_DIR / ".cache" / "secret_key")
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "procrastinate.contrib.django",
    "queue_tasks",
    "site_app.photos",
    "site_app.reports",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")  # django.tasks, as Django 5.2 gets it

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "site_app.static_files.StaticFiles",
    "site_app.security.content_security_policy",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "site_app.reports.counting.note_visits",
]

ROOT_URLCONF = "site_app.urls"
ASGI_APPLICATION = "site_app.asgi.application"
WSGI_APPLICATION = "site_app.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [SITE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# ------------------------------------------------------------------------------------------- the database and the queue

# Connections are not kept between requests: under ASGI each request has a thread of its own, which ends with it.
DATABASES = {"default": dj_database_url.parse(database_url())}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TASKS = {
    "default": {
        "BACKEND": "queue_tasks.backend.PostgresBackend",
        "QUEUES": ["default", "media", "reports"],
    }
}

SCHEDULES = os.environ.get("SITE_SCHEDULES", "1") == "1"
"""Whether the site looks after itself at night and each hour; see site_app/upkeep.py."""

# --------------------------------------------------------------------------------------------------------------- photos

MEDIA_ROOT = Path(os.environ.get("SITE_MEDIA_ROOT") or BASE_DIR / "media")

PHOTO_MAX_BYTES = 25 * 2**20
"""Bytes of one file."""
PHOTO_MAX_PIXELS = 64_000_000
"""Pixels of one picture: a decoded one takes three or four bytes each, whatever the file's size."""
PHOTOS_PER_UPLOAD = 40
"""Files of one upload; those beyond are refused one by one."""
GALLERY_LIMIT = int(os.environ.get("SITE_GALLERY_LIMIT", "1000"))
"""Photos the gallery holds; an upload that would go beyond is rolled back whole."""
REQUEST_MAX_BYTES = PHOTO_MAX_BYTES * PHOTOS_PER_UPLOAD
"""Bytes of one request; a longer one is refused before it is stored."""

FILE_UPLOAD_HANDLERS = [
    "site_app.photos.uploads.LimitedUploads",  # first: what it skips is never stored
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_NUMBER_FILES = 500

# --------------------------------------------------------------------------------------------------------- static files

STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("SITE_STATIC_ROOT")  # where collectstatic puts them, if it is used
STATICFILES_DIRS = [SITE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic needed; a big site collects, and stores with a hash in the name

# ------------------------------------------------------------------------------- who works here, language, time, safety

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/queue/"
LOGOUT_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

HTTPS = os.environ.get("DJANGO_HTTPS", "0") == "1"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 14 * 86_400
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"queue_tasks": {"level": "INFO"}, "site_app": {"level": "INFO"}},
}
