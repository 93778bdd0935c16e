-- procrastinate_jobs_qt_ready_idx: the jobs a worker may fetch now, in the order it fetches them
-- Scheduled and parked jobs, and jobs that have a lock, are not in it: a fetch never walks past rows it cannot take.
-- Called by  queue_tasks_fetch_jobs_v1 and its parts
create index if not exists procrastinate_jobs_qt_ready_idx on procrastinate_jobs using btree (queue_name, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is null));
