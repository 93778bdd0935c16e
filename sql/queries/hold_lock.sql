-- hold_lock(worker_id) -> 0 or 1 row: held boolean; no row: the worker is not registered any more
-- Hold the worker's session advisory lock: while it is held, the worker's connection lives.
-- Called by  worker.listener.Listener
update procrastinate_workers
set qt_locked = true
from (select pg_try_advisory_lock(queue_tasks_worker_lock_v1(%(worker_id)s::bigint)) as held) l
where id = %(worker_id)s::bigint
returning l.held
