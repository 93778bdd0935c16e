-- search_jobs(look, before, few, statuses, ids, states, queue_name, task_name, worker_id, lock, since, error, fingerprint, queues, with_args, keys, texts, positions, max_jobs) -> 0..max_jobs rows, as overview.JobLine
-- Jobs that an operator's filter finds, newest first, among the newest `look` that a key or a status leads to: what a
-- search costs does not grow with the table. A filter that is null is none.
-- before:     only jobs with a smaller id: the next page
-- statuses:   row statuses that few jobs have, and an index leads to
-- few:        true: statuses are among those that did not succeed; said in words that the planner knows the index by
-- since:      seconds: only jobs enqueued within them
-- error:      a part of the latest error's class, and with_args of its message, in any case of letters: first of
--             ASCII's, since by the rules of Turkish IndexError is no indexerror, then of all others
-- keys, texts: top-level arguments and the text each must have; positions: a JSON array of objects, one for each key:
--             task name -> where the task takes that argument when it is given without its name
-- fingerprint: what failures of one kind have in common, as group_failures has it
-- queues:     only jobs of these; null: of all
-- with_args:  true: arguments and messages may be looked at; args itself is always null
-- Called by   dashboard.queries.search
-- Index       procrastinate_jobs_pkey; procrastinate_jobs_qt_failed_idx
select
    j.id,
    j.state,
    j.queue_name::text,
    j.task_name::text,
    j.priority,
    j.lock,
    j.attempts,
    null::text as args,
    j.worker_id,
    j.qt_enqueued_at,
    case
        when j.status = 'todo' and isfinite(j.scheduled_at) and j.scheduled_at < queue_tasks_parked_until_v1()
        then j.scheduled_at
    end as run_after,
    j.qt_started_at,
    j.qt_attempted_at,
    j.qt_finished_at,
    left(j.qt_errors -> -1 ->> 'exception', 200) as error,
    case when %(with_args)s::boolean then left(j.qt_errors -> -1 ->> 'message', 300) end as message,
    j.abort_requested,
    statement_timestamp() as now
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
    where (%(before)s::bigint is null or id < %(before)s::bigint)
        and (not %(few)s::boolean or status = any (array['failed', 'cancelled', 'aborted']::procrastinate_job_status[]))
        and (%(statuses)s::text[] is null or status = any (%(statuses)s::text[]::procrastinate_job_status[]))
        and (%(ids)s::bigint[] is null or id = any (%(ids)s::bigint[]))
    order by id desc
    limit %(look)s::bigint
) j
where (%(states)s::text[] is null or j.state = any (%(states)s::text[]))
    and (%(queue_name)s::text is null or j.queue_name = %(queue_name)s::text)
    and (
        %(task_name)s::text is null
        or j.task_name = %(task_name)s::text
        or right(j.task_name, length(%(task_name)s::text) + 1) = '.' || %(task_name)s::text
    )
    and (%(worker_id)s::bigint is null or j.worker_id = %(worker_id)s::bigint)
    and (%(lock)s::text is null or j.lock = %(lock)s::text)
    and (
        %(since)s::double precision is null
        or j.qt_enqueued_at >= statement_timestamp() - make_interval(secs => %(since)s::double precision)
    )
    and (
        %(error)s::text is null
        or position(lower(lower(%(error)s::text collate "C") collate "default") in lower(lower(concat_ws(
            ': ',
            j.qt_errors -> -1 ->> 'exception',
            case when %(with_args)s::boolean then j.qt_errors -> -1 ->> 'message' end
        ) collate "C") collate "default")) > 0
    )
    and (
        %(fingerprint)s::text is null
        or coalesce(j.qt_errors -> -1 ->> 'fingerprint', j.qt_errors -> -1 ->> 'exception', 'none')
            = %(fingerprint)s::text
    )
    and (%(queues)s::text[] is null or j.queue_name = any (%(queues)s::text[]))
    and not exists (
        select
        from unnest(%(keys)s::text[], %(texts)s::text[]) with ordinality w (key, text, place)
        where not %(with_args)s::boolean
            or w.text is distinct from coalesce(
                j.args -> 'kwargs' ->> w.key,
                j.args -> 'args' ->> (%(positions)s::jsonb -> (w.place - 1)::integer ->> j.task_name)::integer,
                j.args ->> w.key
            )
    )
order by j.id desc
limit %(max_jobs)s::bigint
