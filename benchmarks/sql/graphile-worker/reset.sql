-- reset() -> no rows
-- No job of before, no trace of one.
-- Called by  benchmarks.contestants
truncate graphile_worker._private_jobs, graphile_worker._private_job_queues
