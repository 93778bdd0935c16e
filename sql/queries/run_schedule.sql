-- run_schedule(name) -> one row: job_id bigint; null when there is no such schedule
-- Enqueue a schedule's job now.
-- Called by  schedules.run_now
select queue_tasks_run_schedule_v1(%(name)s::text) as job_id
