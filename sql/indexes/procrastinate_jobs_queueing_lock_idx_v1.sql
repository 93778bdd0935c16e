-- procrastinate_jobs_queueing_lock_idx_v1: upstream's index, narrowed: a job without a queueing lock pays nothing for it
-- Called by  upstream's defer (on conflict); the narrower predicate is implied by every value that can conflict
create unique index if not exists procrastinate_jobs_queueing_lock_idx_v1 on procrastinate_jobs using btree (queueing_lock) where ((status = 'todo'::procrastinate_job_status) and (queueing_lock is not null));
