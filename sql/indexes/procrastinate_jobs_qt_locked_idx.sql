-- procrastinate_jobs_qt_locked_idx: ready jobs that have a lock, each lock's in the order it lets them run
-- Called by  queue_tasks_free_heads_v1, queue_tasks_take_first_v1 (the head of each lock), queue_tasks_some_lock_free_v1; the triggers on procrastinate_jobs (who waits for a released lock)
create index if not exists procrastinate_jobs_qt_locked_idx on procrastinate_jobs using btree (lock, priority desc, id) where ((status = 'todo'::procrastinate_job_status) and (scheduled_at is null) and (lock is not null));
