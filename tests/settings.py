"""Django's settings for the tests: the smallest project that uses queue_tasks.

The database's name and place are filled in by conftest.py (`tests.postgres` says how it is chosen); DATABASE_URL is
read here too, so that programs started by a test with these settings find the test's own database.
"""

import os
from typing import Any

import dj_database_url
import django

SECRET_KEY = "only for the tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.urls"
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "procrastinate.contrib.django",
    "queue_tasks",
    "tests.testapp",
]

# What Django's admin asks for.
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
STATIC_URL = "/static/"

DATABASES = {
    "default": {
        # Without a test's database, every attempt to connect fails at once and says why.
        **dj_database_url.parse(
            os.environ.get("DATABASE_URL") or "postgresql://nobody@%2Fno-database-before-the-fixtures/none"
        ),
        "ATOMIC_REQUESTS": False,
    }
}

TASKS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []}}
