-- group_failures(look, queues, with_args, max_groups) -> up to max_groups rows, as dashboard.failures.Group; the largest first
-- The newest `look` failed jobs, by what their latest errors have in common: the fingerprint that the worker wrote. Errors
-- from before there were fingerprints are alike by their class; of jobs that a stock worker failed nothing is known.
-- queues:     only jobs of these; null: of all
-- with_args:  true: messages may be looked at
-- Called by   dashboard.failures.grouped
-- Index       procrastinate_jobs_qt_failed_idx; procrastinate_jobs_pkey
with looked as materialized (
    -- One look into an array that may be long and compressed, not one for each word of it.
    select
        j.id,
        j.task_name::text as task_name,
        j.queue_name,
        j.qt_errors -> -1 as error,
        case when isfinite(j.qt_finished_at) then j.qt_finished_at end as finished_at
    from procrastinate_jobs j
    where j.status = any (array['failed', 'cancelled', 'aborted']::procrastinate_job_status[])
        and j.status = 'failed'
    order by j.id desc
    limit %(look)s::bigint
),
grouped as (
    select
        left(coalesce(l.error ->> 'fingerprint', l.error ->> 'exception', 'none'), 200) as fingerprint,
        count(*) as jobs,
        min(l.finished_at) as first_at,
        max(l.finished_at) as last_at,
        (array_agg(distinct l.task_name))[1:5] as task_names,
        count(distinct l.task_name) as tasks,
        max(l.id) as newest
    from looked l
    where %(queues)s::text[] is null or l.queue_name = any (%(queues)s::text[])
    group by 1
    order by 2 desc, 7 desc
    limit %(max_groups)s::bigint
)
select
    g.fingerprint,
    g.jobs,
    g.first_at,
    g.last_at,
    g.task_names,
    g.tasks,
    g.newest,
    left(l.error ->> 'exception', 200) as exception,
    left(l.error ->> 'place', 300) as place,
    case when %(with_args)s::boolean then left(l.error ->> 'message', 500) end as message,
    (select count(*) from looked) as looked,
    statement_timestamp() as now
from grouped g
join looked l on l.id = g.newest
order by g.jobs desc, g.newest desc
