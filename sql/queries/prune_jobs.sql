-- prune_jobs(max_jobs) -> one row: deleted integer
-- Delete finished jobs whose time to be kept is over.
-- Called by  store.MaintenanceStore.prune_jobs; control.prune
select queue_tasks_prune_jobs_v1(%(max_jobs)s::integer) as deleted
