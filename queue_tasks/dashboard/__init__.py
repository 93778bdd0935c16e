"""The dashboard: what the queue does, and what an operator does about it, inside the user's own Django.

urlpatterns = [..., path("queue/", include("queue_tasks.dashboard.urls"))]

Nobody sees anything without a permission (access). Pages are templates of our own engine and work without JavaScript.
"""
