-- look_around(worker_id, queues, memory, dead_after, silent_after) -> 0 or 1 row, as lookout.Sight; no row: the worker is not registered any more
-- The sign of life of a worker that has nothing to do, with a look at everything that it would else ask for one by one. To
-- ask for the used part of the queue of notifications also clears what every listener has read.
-- Called by  worker.listener.Listener, for worker.heartbeat.Heartbeat
select
    b.silence, b.running, b.told,
    l.ready, l.due, l.ticks, l.lost, l.expired, l.next_due_at,
    pg_notification_queue_usage() as used
from queue_tasks_beat_v1(
    %(worker_id)s::bigint,
    false,
    %(memory)s::bigint,
    %(dead_after)s::double precision,
    %(silent_after)s::double precision
) b
cross join queue_tasks_look_v1(%(worker_id)s::bigint, %(queues)s::text[]) l
