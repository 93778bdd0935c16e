-- procrastinate_jobs_queue_name_idx_v1: upstream's index, narrowed to the jobs that wait: to fetch and to finish a job adds no entry
-- Called by  upstream's fetch from named queues
create index if not exists procrastinate_jobs_queue_name_idx_v1 on procrastinate_jobs using btree (queue_name) where (status = 'todo'::procrastinate_job_status);
