-- heartbeat(worker_id, dead_after, memory) -> 0 or 1 row: silence double precision, told text; no row: the worker is not registered any more
-- A worker's sign of life, with the bytes of memory it holds (null: not known); for how many seconds the most silent of the others has given none (0: there are none). A
-- worker without a lock counts when it has been silent for dead_after seconds: nothing can be said of it before.
-- Called by  worker.heartbeat.Heartbeat
update procrastinate_workers
set last_heartbeat = clock_timestamp(), qt_memory = %(memory)s::bigint
where id = %(worker_id)s::bigint
returning coalesce(
    (
        select extract(epoch from clock_timestamp() - min(w.last_heartbeat))
        from procrastinate_workers w
        where w.id <> %(worker_id)s::bigint and (
            w.qt_locked
            or w.last_heartbeat < clock_timestamp() - make_interval(secs => %(dead_after)s::double precision)
        )
    ),
    0
)::double precision as silence,
    qt_told as told
