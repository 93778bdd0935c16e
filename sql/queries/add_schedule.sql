-- add_schedule(schedule) -> 0 or 1 row: name text; none when the name is taken
-- Add a schedule that no code declares; schedule: JSON text with the names of the table's columns.
-- Called by  schedules.add
insert into queue_tasks_schedules (
    name, declared, task_name, queue_name, priority, lock, args, ephemeral,
    cron, every, timezone, missed, max_missed, overlap, jitter
)
select
    d.name, false, d.task_name, d.queue_name, d.priority, d.lock, d.args, d.ephemeral,
    d.cron, d.every, d.timezone, d.missed, d.max_missed, d.overlap, d.jitter
from jsonb_populate_record(null::queue_tasks_schedules, %(schedule)s::jsonb) d
where d.name is not null
on conflict (name) do nothing
returning name
