-- heartbeat(worker_id) -> 0 or 1 row: id bigint; no row: the worker is not registered any more
-- A worker's sign of life.
-- Called by  worker.heartbeat.Heartbeat
update procrastinate_workers set last_heartbeat = clock_timestamp() where id = %(worker_id)s::bigint returning id
