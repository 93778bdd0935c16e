"""Django's settings for one side of a comparison; the environment says which, and where its database is."""

import os

import dj_database_url
import django

SECRET_KEY = "only for benchmarks"  # noqa: S105
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "procrastinate.contrib.django",
]
if os.environ.get("BENCHMARK_SIDE") != "stock":
    INSTALLED_APPS += ["queue_tasks", "benchmarks"]
    TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []}}
else:
    PROCRASTINATE_AUTODISCOVER_MODULE_NAME = ""
    PROCRASTINATE_IMPORT_PATHS = ["benchmarks.stock_tasks"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
