-- forget_listener(worker_id) -> no rows
-- A worker listens no more: nobody tells it of jobs.
-- Called by  store.WorkerStore.forget_listener
-- Writes     queue_tasks_listeners
delete from queue_tasks_listeners where worker_id = %(worker_id)s::bigint
