"""What is said when the embedded Postgres cannot do what was asked."""


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot do what was asked; the message says what was found and what to do."""
