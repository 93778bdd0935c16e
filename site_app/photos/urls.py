"""Addresses of photos."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from site_app.photos import steps, views


class RenditionConverter(StringConverter):
    """The name of a rendition's file, and of nothing else that lies beside it."""

    regex = "|".join(size.name.replace(".", r"\.") for size in steps.RENDITIONS)


register_converter(RenditionConverter, "rendition")

app_name = "photos"
urlpatterns = [
    path("", views.gallery, name="gallery"),
    path("photos/events/", views.gallery_events, name="gallery_events"),
    path("photos/<int:photo_id>/", views.detail, name="detail"),
    path("photos/<int:photo_id>/events/", views.detail_events, name="detail_events"),
    path("photos/<int:photo_id>/again/", views.again, name="again"),
    path("photos/<int:photo_id>/delete/", views.delete, name="delete"),
    path("media/<uuid:key>/<rendition:name>", views.rendition, name="rendition"),
]
