-- count_queues() -> one row for each queue that has jobs which are not over, or failed, as overview.QueueLine
-- How many jobs wait, run and failed in each queue, and for how many seconds the oldest ready one has been ready.
-- A job that was scheduled is ready since its time, one that was tried since it was fetched for that.
-- Called by  overview.count_queues
select
    j.queue_name::text,
    count(*) filter (where j.status = 'todo' and j.scheduled_at is null),
    count(*) filter (where j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1() and j.attempts = 0),
    count(*) filter (where j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1() and j.attempts > 0),
    count(*) filter (where j.status = 'todo' and j.scheduled_at >= queue_tasks_parked_until_v1()),
    count(*) filter (where j.status = any (array['doing', 'aborting']::procrastinate_job_status[])),
    count(*) filter (where j.status = 'failed'),
    extract(
        epoch from statement_timestamp() - min(
            greatest(j.qt_enqueued_at, queue_tasks_run_after_v1(j.qt_meta), j.qt_attempted_at)
        ) filter (where j.status = 'todo' and j.scheduled_at is null)
    )::double precision
from procrastinate_jobs j
where j.status = any (array['todo', 'doing', 'aborting', 'failed']::procrastinate_job_status[])
group by j.queue_name
order by j.queue_name
