-- prune() -> one row: jobs deleted
-- What a worker does once a minute.
-- Called by  benchmarks.measures.soak
select queue_tasks_prune_jobs_v1(20000)
