"""The tests' URLs: none; a test that needs some overrides ROOT_URLCONF."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
