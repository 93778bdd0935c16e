-- due_schedules(max_schedules) -> one row for each schedule that is due or whose next tick is to be found; one without a schedule when there is none
-- now timestamptz, next_in double precision (seconds until the next that is not due; null: there is none), then the columns
-- of store.DueSchedule, an operator's overrides in the place of what is declared.
-- Called by  store.ScheduleStore.due_schedules
with clock as materialized (
    select clock_timestamp() as now
),
next as materialized (
    select min(s.next_tick) as tick
    from queue_tasks_schedules s, clock c
    where s.paused_at is null and s.gone_at is null and s.next_tick > c.now
)
select
    c.now,
    extract(epoch from n.tick - c.now)::double precision as next_in,
    d.id,
    d.name,
    d.revision,
    case when d.override_every is null then coalesce(d.override_cron, d.cron) end as cron,
    case when d.override_cron is null then coalesce(d.override_every, d.every) end as every,
    coalesce(d.override_timezone, d.timezone) as timezone,
    d.last_tick,
    d.missed,
    d.max_missed
from clock c
cross join next n
left join lateral (
    select
        s.id, s.name, s.revision, s.cron, s.every, s.timezone, s.override_cron, s.override_every, s.override_timezone,
        s.last_tick, s.missed, s.max_missed
    from queue_tasks_schedules s
    where s.paused_at is null and s.gone_at is null and (s.next_tick is null or s.next_tick <= c.now)
    order by s.next_tick nulls first, s.id
    limit %(max_schedules)s::integer
) d on true
