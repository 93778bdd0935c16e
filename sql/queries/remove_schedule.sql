-- remove_schedule(name) -> 0 or 1 row: name text
-- Delete a schedule that no code declares (any more), and its history.
-- Called by  schedules.remove
delete from queue_tasks_schedules s
where s.name = %(name)s::text and (not s.declared or s.gone_at is not null)
returning s.name
