-- procrastinate_jobs_qt_failed_idx: jobs that did not succeed, in the order they were enqueued
-- A job that succeeds never has an entry: it costs it nothing.
-- Called by  the dashboard's lists and counts
create index if not exists procrastinate_jobs_qt_failed_idx on procrastinate_jobs using btree (id) where (status = any (array['failed'::procrastinate_job_status, 'cancelled'::procrastinate_job_status, 'aborted'::procrastinate_job_status]));
