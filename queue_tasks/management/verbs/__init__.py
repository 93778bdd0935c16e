"""Every verb of `manage.py queue`, in the order of its help."""

from queue_tasks.management.verb import Verb
from queue_tasks.management.verbs import figures, jobs, queues, roles, schedules, schema, workers

VERBS: tuple[Verb, ...] = (
    *jobs.VERBS,
    *queues.VERBS,
    *workers.VERBS,
    *schedules.VERBS,
    *figures.VERBS,
    *roles.VERBS,
    *schema.VERBS,
)
