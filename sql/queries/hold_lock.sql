-- hold_lock(worker_id) -> one row: held boolean
-- Hold the worker's session advisory lock: while it is held, the worker's connection lives. 29044 is 'qt'.
-- Called by  worker.listener.Listener
select pg_try_advisory_lock((29044::bigint << 47) | %(worker_id)s::bigint) as held
