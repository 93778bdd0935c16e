"""The dashboard's addresses: path("queue/", include("queue_tasks.dashboard.urls"))."""

from django.urls import path

from queue_tasks.dashboard.deeds import DEEDS
from queue_tasks.dashboard.views import (
    assets,
    changes,
    control,
    database,
    deeds,
    edit,
    failures,
    job,
    jobs,
    live,
    overview,
    queues,
    schedules,
    workers,
)

app_name = "queue_tasks_dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<int:job_id>/", job.job, name="job"),
    path("jobs/<int:job_id>/edit/", edit.edit, name="edit"),
    *(path(f"jobs/{name}/", view, name=name) for name, view in deeds.deeds(DEEDS.values()).items()),
    path("failures/", failures.failures, name="failures"),
    path("queues/", queues.queues, name="queues"),
    path("workers/", workers.workers, name="workers"),
    *(path(f"control/{name}/", view, name=name) for name, view in control.orders(control.ORDERS).items()),
    path("schedules/", schedules.schedules, name="schedules"),
    path("schedules/show/", schedules.schedule, name="schedule"),
    path("schedules/pause/", schedules.pause_schedule, name="pause_schedule"),
    path("schedules/resume/", schedules.resume_schedule, name="resume_schedule"),
    path("schedules/run/", schedules.run_schedule, name="run_schedule"),
    path("schedules/change/", schedules.change_schedule, name="change_schedule"),
    path("schedules/reset/", schedules.reset_schedule, name="reset_schedule"),
    path("database/", database.database, name="database"),
    path("changes/", changes.changes, name="changes"),
    path("live/", live.stream, name="stream"),
    path("assets/<str:version>/<str:name>", assets.asset, name="asset"),
]
