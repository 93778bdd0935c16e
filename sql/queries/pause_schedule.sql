-- pause_schedule(name) -> 0 or 1 row: name text
-- Keep a schedule from ticking.
-- Called by  schedules.pause
-- Locks      the row changed, until commit
update queue_tasks_schedules s
set paused_at = clock_timestamp(), revision = s.revision + 1
where s.name = %(name)s::text and s.paused_at is null
returning s.name
