-- override_schedule(name, cron, every, timezone) -> 0 or 1 row: name text
-- Change when a schedule ticks. All null: as it was declared or added; what is null is not overridden.
-- Called by  schedules.override, schedules.reset
-- Locks      the row changed, until commit
update queue_tasks_schedules s
set
    override_cron = %(cron)s::text,
    override_every = %(every)s::double precision,
    override_timezone = %(timezone)s::text,
    revision = s.revision + 1,
    last_tick = clock_timestamp(),
    next_tick = null
where s.name = %(name)s::text
returning s.name
