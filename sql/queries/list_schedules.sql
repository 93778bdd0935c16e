-- list_schedules(name) -> one row for each schedule (null: all), as schedules.ScheduleLine, by name as Python sorts
-- The newest tick of each that made a job, and what became of that job, stand beside it.
-- Called by  schedules.list_schedules
select
    s.name,
    s.declared,
    s.task_name,
    s.queue_name,
    s.args::text as args,
    s.cron,
    s.every,
    s.timezone,
    s.override_cron,
    s.override_every,
    s.override_timezone,
    s.missed,
    s.max_missed,
    s.overlap,
    s.jitter,
    s.paused_at,
    s.gone_at,
    s.next_tick,
    l.tick as ran_at,
    l.job_id,
    j.status::text as job_status,
    clock_timestamp() as now
from queue_tasks_schedules s
left join lateral (
    select n.tick, n.job_id
    from queue_tasks_ticks n
    where n.schedule_id = s.id and n.job_id is not null
    order by n.tick desc
    limit 1
) l on true
left join procrastinate_jobs j on j.id = l.job_id
where %(name)s::text is null or s.name = %(name)s::text
order by s.name collate "C"
