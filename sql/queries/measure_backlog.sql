-- measure_backlog(declared, max_jobs) -> one row for each queue that is declared or has jobs which are not over, or failed, as overview.Backlog;
-- by name, as Python sorts, so that pages, commands and metrics of any database have them in one order
-- What waits, runs and failed in each queue, at a cost that does not grow with the tables: no kind is counted beyond max_jobs,
-- and what has ended is looked at in the newest max_jobs rows only.
-- Each count is in the order of a ready index, else the planner would read the table from its beginning. "between" is said
-- for "=" where one row is looked for, or it would read upstream's index by priority, in the hope of meeting the queue soon.
-- oldest_ready: for each priority the job that is next is looked at, since it is the oldest of its priority.
-- Called by  overview.measure_backlog
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_scheduled_idx,
--            idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_unowned_idx, procrastinate_jobs_qt_failed_idx, procrastinate_jobs_pkey
with recursive plain as (
    (
        select j.queue_name, j.priority, j.id
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id
        limit 1
    )
    union all
    select following.queue_name, following.priority, following.id
    from plain p
    cross join lateral (
        (
            select j.queue_name, j.priority, j.id
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
                and j.queue_name between p.queue_name and p.queue_name and j.priority < p.priority
            order by j.queue_name, j.priority desc, j.id
            limit 1
        )
        union all
        (
            select j.queue_name, j.priority, j.id
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
                and j.queue_name > p.queue_name
            order by j.queue_name, j.priority desc, j.id
            limit 1
        )
        limit 1
    ) following
),
locked as (
    (
        select j.queue_name, j.priority, j.id
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
        order by j.queue_name, j.priority desc, j.id
        limit 1
    )
    union all
    select following.queue_name, following.priority, following.id
    from locked p
    cross join lateral (
        (
            select j.queue_name, j.priority, j.id
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                and j.queue_name between p.queue_name and p.queue_name and j.priority < p.priority
            order by j.queue_name, j.priority desc, j.id
            limit 1
        )
        union all
        (
            select j.queue_name, j.priority, j.id
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                and j.queue_name > p.queue_name
            order by j.queue_name, j.priority desc, j.id
            limit 1
        )
        limit 1
    ) following
),
heads as (
    select
        h.queue_name,
        extract(
            epoch from statement_timestamp() - min(
                greatest(j.qt_enqueued_at, queue_tasks_run_after_v1(j.qt_meta), j.qt_attempted_at)
            )
        )::double precision as oldest_ready
    from (select * from plain union all select * from locked) h
    join procrastinate_jobs j on j.id = h.id
    group by h.queue_name
),
ready as (
    select h.queue_name, h.oldest_ready, p.jobs + l.jobs as jobs
    from heads h
    cross join lateral (
        select count(*) as jobs
        from (
            select
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null and j.queue_name = h.queue_name
            order by j.queue_name, j.priority desc, j.id
            limit %(max_jobs)s::bigint
        ) found
    ) p
    cross join lateral (
        select count(*) as jobs
        from (
            select
            from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is not null and j.queue_name = h.queue_name
            order by j.queue_name, j.priority desc, j.id
            limit %(max_jobs)s::bigint
        ) found
    ) l
),
scheduled as (
    select
        s.queue_name,
        count(*) filter (where s.scheduled_at < queue_tasks_parked_until_v1() and s.attempts = 0) as jobs,
        count(*) filter (where s.scheduled_at < queue_tasks_parked_until_v1() and s.attempts > 0) as retrying,
        count(*) filter (where s.scheduled_at >= queue_tasks_parked_until_v1()) as parked
    from (
        select j.queue_name, j.scheduled_at, j.attempts
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is not null
        order by j.scheduled_at
        limit %(max_jobs)s::bigint
    ) s
    group by s.queue_name
),
running as (
    -- By worker, and those of no worker: each has an index, all running jobs have none.
    select o.queue_name, count(*) as jobs
    from (
        select j.queue_name
        from procrastinate_workers w
        join procrastinate_jobs j on j.worker_id = w.id and j.status = 'doing'
        union all
        select j.queue_name from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ) o
    group by o.queue_name
),
failed as (
    select f.queue_name, count(*) as jobs
    from (
        select j.queue_name from procrastinate_jobs j where j.status = 'failed' order by j.id desc limit %(max_jobs)s::bigint
    ) f
    group by f.queue_name
),
ended as (
    select
        e.queue_name,
        avg(extract(epoch from e.qt_finished_at - e.qt_attempted_at))::double precision as mean_run
    from (
        select j.queue_name, j.status, j.qt_attempted_at, j.qt_finished_at
        from procrastinate_jobs j
        order by j.id desc
        limit %(max_jobs)s::bigint
    ) e
    where e.status = any (array['succeeded', 'failed']::procrastinate_job_status[])
        and e.qt_attempted_at is not null
        and e.qt_finished_at is not null
    group by e.queue_name
)
select
    q.queue_name,
    coalesce(r.jobs, 0) as ready,
    coalesce(s.jobs, 0) as scheduled,
    coalesce(s.retrying, 0) as retrying,
    coalesce(s.parked, 0) as parked,
    coalesce(d.jobs, 0) as running,
    coalesce(f.jobs, 0) as failed,
    r.oldest_ready,
    e.mean_run
from (
    select queue_name::text from ready
    union
    select queue_name::text from scheduled
    union
    select queue_name::text from running
    union
    select queue_name::text from failed
    union
    select unnest(%(declared)s::text[])
) q (queue_name)
left join ready r on r.queue_name = q.queue_name
left join scheduled s on s.queue_name = q.queue_name
left join running d on d.queue_name = q.queue_name
left join failed f on f.queue_name = q.queue_name
left join ended e on e.queue_name = q.queue_name
order by q.queue_name collate "C"
