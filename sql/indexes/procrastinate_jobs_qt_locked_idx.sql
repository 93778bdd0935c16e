-- procrastinate_jobs_qt_locked_idx: unfinished jobs that have a lock, in the order their lock lets them run
-- Called by  queue_tasks_fetch_jobs_v1 (the head of each lock); queue_tasks_jobs_updated_v1 (who waits for a released lock)
create index if not exists procrastinate_jobs_qt_locked_idx on procrastinate_jobs using btree (lock, priority desc, id) where ((lock is not null) and (status = any (array['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status])));
