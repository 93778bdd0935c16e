-- heartbeat(worker_id, busy, memory, dead_after, silent_after) -> 0 or 1 row: silence double precision, running boolean, told text; no row: the worker is not registered any more
-- A worker's sign of life.
-- Called by  worker.heartbeat.Heartbeat
select silence, running, told
from queue_tasks_beat_v1(
    %(worker_id)s::bigint,
    %(busy)s::boolean,
    %(memory)s::bigint,
    %(dead_after)s::double precision,
    %(silent_after)s::double precision
)
