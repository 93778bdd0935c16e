-- procrastinate_jobs_qt_expires_idx: finished jobs by the time they may be deleted
-- Called by  queue_tasks_prune_jobs_v1
create index if not exists procrastinate_jobs_qt_expires_idx on procrastinate_jobs using btree (qt_expires_at) where (qt_expires_at is not null);
