-- lock_queue(name) -> one row: name text
-- What an operator has decided about a queue stays so until the transaction ends: nobody else decides meanwhile.
-- Called by  dashboard.changes.lock_queue
-- Locks      the queue's row, which is made where there is none, until commit
insert into queue_tasks_queues (queue_name)
values (%(name)s::text)
on conflict (queue_name) do update set queue_name = excluded.queue_name
returning queue_name as name
