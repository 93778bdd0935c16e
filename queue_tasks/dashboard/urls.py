"""The dashboard's addresses: path("queue/", include("queue_tasks.dashboard.urls"))."""

from django.urls import path

from queue_tasks.dashboard import views
from queue_tasks.dashboard.changes import DEEDS

app_name = "queue_tasks_dashboard"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("jobs/", views.jobs, name="jobs"),
    path("jobs/<int:job_id>/", views.job, name="job"),
    *(path(f"jobs/{name}/", view, name=name) for name, view in views.deeds(DEEDS.values()).items()),
    path("queues/", views.queues, name="queues"),
    path("workers/", views.workers, name="workers"),
    path("schedules/", views.schedules, name="schedules"),
    path("schedules/show/", views.schedule, name="schedule"),
    path("schedules/pause/", views.pause_schedule, name="pause_schedule"),
    path("schedules/resume/", views.resume_schedule, name="resume_schedule"),
    path("schedules/run/", views.run_schedule, name="run_schedule"),
    path("schedules/change/", views.change_schedule, name="change_schedule"),
    path("schedules/reset/", views.reset_schedule, name="reset_schedule"),
    path("changes/", views.changes, name="changes"),
    path("assets/<str:version>/<str:name>", views.asset, name="asset"),
]
