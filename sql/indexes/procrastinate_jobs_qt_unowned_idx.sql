-- procrastinate_jobs_qt_unowned_idx: running jobs of no worker, whose worker's row was deleted
-- Nearly always empty: it costs a job nothing.
-- Called by  queue_tasks_rescue_jobs_v1
create index if not exists procrastinate_jobs_qt_unowned_idx on procrastinate_jobs using btree (id) where ((status = 'doing'::procrastinate_job_status) and (worker_id is null));
