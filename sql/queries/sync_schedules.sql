-- sync_schedules(declared) -> one row for each schedule that changed: name text, change text
-- Bring what the code declares to the database; declared: JSON text.
-- Called by  store.ScheduleStore.sync_schedules
select name, change from queue_tasks_sync_schedules_v1(%(declared)s::jsonb)
