"""The reference site: a small photo site that uses queue_tasks the way a user would."""
