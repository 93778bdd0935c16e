"""The photos app."""

from django.apps import AppConfig


class PhotosConfig(AppConfig):
    """Photos and the steps each goes through."""

    name = "site_app.photos"
    label = "photos"
