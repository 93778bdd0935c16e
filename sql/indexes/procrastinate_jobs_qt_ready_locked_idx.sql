-- procrastinate_jobs_qt_ready_locked_idx: ready jobs that have a lock, each queue's in fetch order
-- Apart from the ready jobs without a lock, since these may have to be walked past: their lock is held.
-- Called by  queue_tasks_ready_locked_queues_v1, queue_tasks_free_heads_v1
create index if not exists procrastinate_jobs_qt_ready_locked_idx on procrastinate_jobs using btree (queue_name, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is not null));
