-- resume_schedule(name) -> 0 or 1 row: name text
-- Let a paused schedule tick again, from now on.
-- Called by  schedules.resume
-- Locks      the row changed, until commit
update queue_tasks_schedules s
set paused_at = null, revision = s.revision + 1, last_tick = clock_timestamp(), next_tick = null
where s.name = %(name)s::text and s.paused_at is not null
returning s.name
