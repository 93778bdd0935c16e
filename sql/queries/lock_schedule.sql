-- lock_schedule(task_name, periodic_id) -> one row
-- Let one worker at a time enqueue the ticks of one periodic task. 29044 is "qt" in ASCII.
-- Called by  store.ScheduleStore.defer_tick
-- Locks      an advisory lock of the transaction
select pg_advisory_xact_lock(29044, hashtext(%(task_name)s::text || '#' || %(periodic_id)s::text))
