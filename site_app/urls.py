"""Every address of the site."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from site_app.health import health

urlpatterns = [
    path("", include("site_app.photos.urls")),
    path("reports/", include("site_app.reports.urls")),
    path("queue/", include("queue_tasks.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("login/", auth.LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("health/", health, name="health"),
]
