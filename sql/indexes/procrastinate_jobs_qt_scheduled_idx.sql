-- procrastinate_jobs_qt_scheduled_idx: jobs that wait for their time, earliest first
-- Called by  queue_tasks_promote_jobs_v1
create index if not exists procrastinate_jobs_qt_scheduled_idx on procrastinate_jobs using btree (scheduled_at) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is not null));
