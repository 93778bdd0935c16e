"""A Django app with the tasks and models the tests need."""
