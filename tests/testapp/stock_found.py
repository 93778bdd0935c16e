"""A procrastinate task in a module that nobody imports before a job names it."""

from procrastinate.contrib.django import app


@app.task
def found() -> str:
    return "found"
