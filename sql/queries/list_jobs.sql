-- list_jobs(states, statuses, queue_name, task_name, before, ids, with_args, max_jobs) -> 0..max_jobs rows, as overview.JobLine
-- Jobs, newest first, each with the word for its state. A filter that is null is none.
-- states:     words of jobs.JobState; statuses: the row statuses those words stand for, so that indexes serve
-- task_name:  a dotted path, or the end of one: its last name or names
-- before:     only jobs with a smaller id: the last one of the page before
-- with_args:  false: args is null, which spares reading them
-- Called by   overview.list_jobs
select
    j.id,
    j.state,
    j.queue_name::text,
    j.task_name::text,
    j.priority,
    j.lock,
    j.attempts,
    case when %(with_args)s::boolean then j.args::text end,
    j.worker_id,
    j.qt_enqueued_at,
    case
        when j.status = 'todo' and isfinite(j.scheduled_at) and j.scheduled_at < queue_tasks_parked_until_v1()
        then j.scheduled_at
    end,
    j.qt_started_at,
    j.qt_attempted_at,
    j.qt_finished_at,
    j.qt_errors -> -1 ->> 'exception',
    j.qt_errors -> -1 ->> 'message',
    j.abort_requested,
    statement_timestamp()
from (
    select
        id, queue_name, task_name, priority, lock, attempts, args, worker_id, scheduled_at, status, abort_requested,
        qt_enqueued_at, qt_started_at, qt_attempted_at, qt_finished_at, qt_errors,
        case
            when status = any (array['doing', 'aborting']::procrastinate_job_status[]) then 'running'
            when status <> 'todo' then status::text
            when scheduled_at is null then 'ready'
            when scheduled_at >= queue_tasks_parked_until_v1() then 'parked'
            when attempts > 0 then 'retrying'
            else 'scheduled'
        end as state
    from procrastinate_jobs
) j
where (%(states)s::text[] is null or j.state = any (%(states)s::text[]))
    and (%(statuses)s::text[] is null or j.status = any (%(statuses)s::text[]::procrastinate_job_status[]))
    and (%(queue_name)s::text is null or j.queue_name = %(queue_name)s::text)
    and (
        %(task_name)s::text is null
        or j.task_name = %(task_name)s::text
        or right(j.task_name, length(%(task_name)s::text) + 1) = '.' || %(task_name)s::text
    )
    and (%(before)s::bigint is null or j.id < %(before)s::bigint)
    and (%(ids)s::bigint[] is null or j.id = any (%(ids)s::bigint[]))
order by j.id desc
limit %(max_jobs)s::bigint
