-- procrastinate_jobs_id_lock_idx_v1: upstream's index, narrowed to the jobs that have a lock
-- Called by  upstream's fetch (is an earlier job of the same lock waiting?)
create index if not exists procrastinate_jobs_id_lock_idx_v1 on procrastinate_jobs using btree (id, lock) where ((lock is not null) and (status = any (array['todo'::procrastinate_job_status, 'doing'::procrastinate_job_status])));
