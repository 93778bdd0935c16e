-- procrastinate_jobs_lock_idx_v1: upstream's index, narrowed: one running job for each lock, nothing for jobs without
-- Called by  every fetch, stock or ours: the database's own guard that jobs of one lock never overlap
create unique index if not exists procrastinate_jobs_lock_idx_v1 on procrastinate_jobs using btree (lock) where ((status = 'doing'::procrastinate_job_status) and (lock is not null));
