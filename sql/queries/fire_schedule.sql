-- fire_schedule(...) -> one row for each tick seen to: tick timestamptz, outcome text, job_id bigint
-- See to the ticks of a schedule.
-- Called by  store.ScheduleStore.fire_schedule
select tick, outcome, job_id
from queue_tasks_fire_schedule_v1(
    %(id)s::bigint,
    %(revision)s::bigint,
    %(last_tick)s::timestamptz,
    %(ticks)s::timestamptz[],
    %(passed)s::integer,
    %(passed_tick)s::timestamptz,
    %(last)s::timestamptz,
    %(following)s::timestamptz,
    %(spread)s::double precision
)
