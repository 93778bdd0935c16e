-- list_ticks(name, max_ticks) -> one row for each tick, as schedules.TickLine
-- What became of the newest ticks of a schedule, newest first.
-- Called by  schedules.list_ticks
select n.tick, n.seen_at, n.outcome, n.passed, n.job_id, j.status::text as job_status
from queue_tasks_ticks n
join queue_tasks_schedules s on s.id = n.schedule_id
left join procrastinate_jobs j on j.id = n.job_id
where s.name = %(name)s::text
order by n.tick desc
limit %(max_ticks)s::integer
