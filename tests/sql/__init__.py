"""The database objects, each by SQL on a real database."""
