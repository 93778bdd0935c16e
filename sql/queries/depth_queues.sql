-- depth_queues(declared, cap) -> one row for each queue that is declared or has jobs which are not over, or failed, as dashboard.queries.QueueDepth
-- How many jobs wait, run and failed in each queue. Ready ones are counted up to the cap in each queue, the others up to
-- the cap in all queues together, newest first: what it costs does not grow with the backlog.
-- oldest_ready: seconds the oldest of the ready jobs that were counted has been ready.
-- Called by  dashboard.queries.depth_queues
-- Index      procrastinate_jobs_qt_ready_idx; procrastinate_jobs_qt_ready_locked_idx; procrastinate_jobs_qt_scheduled_idx; procrastinate_jobs_qt_failed_idx
with recursive ready (queue_name) as (
    (select j.queue_name from procrastinate_jobs j
     where j.status = 'todo' and j.scheduled_at is null and j.lock is null
     order by j.queue_name, j.priority desc, j.id limit 1)
    union all
    select (
        select j.queue_name from procrastinate_jobs j
        where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
        order by j.queue_name, j.priority desc, j.id limit 1
    )
    from ready r
    where r.queue_name is not null
),
locked (queue_name) as (
    (select j.queue_name from procrastinate_jobs j
     where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
     order by j.queue_name, j.priority desc, j.id limit 1)
    union all
    select (
        select j.queue_name from procrastinate_jobs j
        where j.queue_name > l.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
        order by j.queue_name, j.priority desc, j.id limit 1
    )
    from locked l
    where l.queue_name is not null
),
waiting as (
    select
        w.queue_name,
        count(*) filter (where w.scheduled_at < queue_tasks_parked_until_v1() and w.attempts = 0) as scheduled,
        count(*) filter (where w.scheduled_at < queue_tasks_parked_until_v1() and w.attempts > 0) as retrying,
        count(*) filter (where w.scheduled_at >= queue_tasks_parked_until_v1()) as parked
    from (
        select j.queue_name, j.scheduled_at, j.attempts
        from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is not null
        limit %(cap)s::bigint
    ) w
    group by w.queue_name
),
running as (
    select j.queue_name, count(*) as jobs
    from procrastinate_jobs j
    where j.status = any (array['doing', 'aborting']::procrastinate_job_status[])
    group by j.queue_name
),
failed as (
    select f.queue_name, count(*) as jobs
    from (
        select j.queue_name from procrastinate_jobs j where j.status = 'failed' order by j.id desc limit %(cap)s::bigint
    ) f
    group by f.queue_name
),
named as (
    select r.queue_name::text as name from ready r where r.queue_name is not null
    union
    select l.queue_name::text from locked l where l.queue_name is not null
    union
    select w.queue_name::text from waiting w
    union
    select g.queue_name::text from running g
    union
    select f.queue_name::text from failed f
    union
    select d.name from unnest(%(declared)s::text[]) d (name)
)
select
    n.name,
    o.jobs as ready,
    coalesce(w.scheduled, 0) as scheduled,
    coalesce(w.retrying, 0) as retrying,
    coalesce(w.parked, 0) as parked,
    coalesce(g.jobs, 0) as running,
    coalesce(f.jobs, 0) as failed,
    extract(epoch from statement_timestamp() - o.oldest)::double precision as oldest_ready
from named n
left join waiting w on w.queue_name = n.name
left join running g on g.queue_name = n.name
left join failed f on f.queue_name = n.name
cross join lateral (
    select
        count(*) as jobs,
        min(greatest(c.qt_enqueued_at, queue_tasks_run_after_v1(c.qt_meta), c.qt_attempted_at)) as oldest
    from (
        (select j.qt_enqueued_at, j.qt_meta, j.qt_attempted_at
         from procrastinate_jobs j
         where j.queue_name = n.name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
         limit %(cap)s::bigint)
        union all
        (select j.qt_enqueued_at, j.qt_meta, j.qt_attempted_at
         from procrastinate_jobs j
         where j.queue_name = n.name and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
         limit %(cap)s::bigint)
    ) c
) o
order by n.name
