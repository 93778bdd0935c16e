-- limit_queue(name, concurrency, by) -> one row: name text
-- Set how many jobs of a queue may run at once over all workers; null: no limit. What runs goes on.
-- Called by  control.limit_queue
insert into queue_tasks_queues (queue_name, concurrency, limited_by)
values (%(name)s::text, %(concurrency)s::integer, %(by)s::text)
on conflict (queue_name) do update set concurrency = excluded.concurrency, limited_by = excluded.limited_by
returning queue_name as name
