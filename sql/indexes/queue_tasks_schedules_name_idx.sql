-- queue_tasks_schedules_name_idx: a schedule's name is its own
-- Called by  sync, and everything an operator does
create unique index if not exists queue_tasks_schedules_name_idx on queue_tasks_schedules using btree (name);
