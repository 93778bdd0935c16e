"""Django's admin: jobs, queues, workers, schedules and changes, to be looked at, by the dashboard's rules.

Where the admin is installed, it finds this by itself. A site of its own (not `admin.site`) registers what it wants:
`my_site.register(queue_tasks.models.Job, queue_tasks.admin.JobAdmin)`.
"""

from __future__ import annotations

from django.contrib import admin

from queue_tasks.admin.kinds import ChangeAdmin, JobAdmin, QueueAdmin, ScheduleAdmin, WorkerAdmin
from queue_tasks.admin.stock import close_stock_pages
from queue_tasks.models import Change, Job, Queue, Schedule, Worker

__all__ = ["ChangeAdmin", "JobAdmin", "QueueAdmin", "ScheduleAdmin", "WorkerAdmin"]

admin.site.register(Change, ChangeAdmin)
admin.site.register(Job, JobAdmin)
admin.site.register(Queue, QueueAdmin)
admin.site.register(Schedule, ScheduleAdmin)
admin.site.register(Worker, WorkerAdmin)
close_stock_pages(admin.site)
