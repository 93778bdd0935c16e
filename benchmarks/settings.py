"""Django's settings of what is measured; the environment says where its database is, and what is installed.

BENCHMARK_BARE: Django alone, to be subtracted from the start of a worker.
BENCHMARK_PREPARES: sessions may prepare statements, which Django allows to those only who say so.
"""

import os

import dj_database_url
import django

SECRET_KEY = "only for benchmarks"  # noqa: S105
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes"]
if "BENCHMARK_BARE" not in os.environ:
    INSTALLED_APPS += [
        *(["django_tasks"] if django.VERSION < (6, 0) else []),
        "procrastinate.contrib.django",
        "queue_tasks",
        "benchmarks",
    ]
    TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []}}
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
if "BENCHMARK_PREPARES" in os.environ:
    DATABASES["default"]["OPTIONS"] = {"prepare_threshold": 2}
