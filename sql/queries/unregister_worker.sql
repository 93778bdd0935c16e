-- unregister_worker(worker_id) -> no rows
-- Forget a worker that has stopped.
-- Called by  store.WorkerStore.unregister_worker
delete from procrastinate_workers where id = %(worker_id)s::bigint
