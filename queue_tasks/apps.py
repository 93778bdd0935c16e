"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class QueueTasksConfig(AppConfig):
    """INSTALLED_APPS = [..., "procrastinate.contrib.django", "queue_tasks"]."""

    name = "queue_tasks"
    verbose_name = "Queue Tasks"

    def ready(self) -> None:
        """Import every app's `tasks` module and tell procrastinate of the tasks declared there."""
        from django.utils.module_loading import autodiscover_modules

        from queue_tasks import bridge

        autodiscover_modules("tasks")
        bridge.show_tasks_to_stock_workers()
