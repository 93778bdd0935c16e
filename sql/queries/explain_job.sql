-- explain_job(id, cap, look) -> 0 or 1 row, as explain.Facts: what stands between a job and its start
-- ahead:        ready jobs of its queue that are fetched before it, up to the cap
-- finished:     jobs of its queue that were finished in the last minute, among the newest `look` of all
-- holder:       the running job of its lock, its worker, since when; before: the job of its lock that is first in line
-- running:      of a queue that has a limit: how many of its jobs run, and the first five of them; null where it has none
-- Called by  explain.explain_job
-- Index      procrastinate_jobs_pkey; procrastinate_jobs_lock_idx_v1; procrastinate_jobs_qt_locked_idx; procrastinate_jobs_qt_ready_idx; procrastinate_jobs_qt_ready_locked_idx
select
    (
        select count(*)
        from (
            (select
             from procrastinate_jobs o
             where o.queue_name = j.queue_name and o.status = 'todo' and o.scheduled_at is null and o.lock is null
                 and o.priority >= j.priority and (o.priority > j.priority or o.id < j.id)
             limit %(cap)s::bigint)
            union all
            (select
             from procrastinate_jobs o
             where o.queue_name = j.queue_name and o.status = 'todo' and o.scheduled_at is null and o.lock is not null
                 and o.priority >= j.priority and (o.priority > j.priority or o.id < j.id)
             limit %(cap)s::bigint)
        ) a
    ) as ahead,
    (
        select count(*)
        from (
            select queue_name, qt_finished_at from procrastinate_jobs order by id desc limit %(look)s::bigint
        ) n
        where n.queue_name = j.queue_name and n.qt_finished_at > statement_timestamp() - make_interval(mins => 1)
    ) as finished,
    h.id as holder_id,
    h.worker_id as holder_worker_id,
    h.task_name::text as holder_task,
    extract(epoch from clock_timestamp() - h.qt_attempted_at)::double precision as holder_seconds,
    (
        select o.id
        from procrastinate_jobs o
        where o.lock = j.lock and o.status = 'todo' and o.scheduled_at is null
        order by o.lock, o.priority desc, o.id
        limit 1
    ) as before_id,
    l.running,
    l.running_ids
from procrastinate_jobs j
left join lateral (
    select
        (select c.running from queue_tasks_count_running_v1(array[q.queue_name]) c) as running,
        array(
            select o.id
            from procrastinate_jobs o
            where o.status = 'doing' and o.worker_id is not null and o.queue_name is not distinct from q.queue_name
            order by o.id
            limit 5
        ) as running_ids
    from queue_tasks_queues q
    where q.queue_name = j.queue_name and q.concurrency is not null
) l on true
left join lateral (
    select o.id, o.worker_id, o.task_name, o.qt_attempted_at
    from procrastinate_jobs o
    where o.lock = j.lock and o.status = 'doing' and o.id <> j.id
    limit 1
) h on true
where j.id = %(id)s::bigint
