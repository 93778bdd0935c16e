-- procrastinate_jobs_qt_updated: after update on procrastinate_jobs, for each statement
-- Writes the events of changed jobs in one statement; wakes the queues in which a job became ready, also by a retry or
-- because a lock was released, or that a job has left which have a limit; tells of scheduled, finished and aborting jobs.
-- Called by  every update, ours, upstream's functions or anybody's, but that of queue_tasks_fetch_jobs_v1: nothing follows
--            from it but the events, which it writes itself, and it holds the worker
-- Writes     procrastinate_events, each job's in the order of upstream's triggers: abort_requested, scheduled, status
-- Index      procrastinate_jobs_qt_locked_idx
--
-- A plan is made for the size of the first statement's tables and kept: a nested loop made for one changed row would
-- compare a thousand rows with a thousand. Each way to join is named, since the function that made the change may have
-- set them otherwise.
create or replace function queue_tasks_jobs_updated_v1() returns trigger
    language plpgsql
    set enable_nestloop = off
    set enable_mergejoin = off
    set enable_hashjoin = on
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_ready text[];
    v_scheduled timestamp with time zone;
    v_released text[];
    v_released_in text[];
    v_finished bigint[];
    v_aborting bigint[];
    v_workers bigint[];
    v_wrong boolean;
    v_changed bigint[];
    v_types procrastinate_job_event_type[];
    v_waiting text[];
    v_told boolean;
begin
    -- What may come twice is made distinct where it is used: an aggregate of distinct values sets up a sort, for no row as well.
    select
        -- Due already counts: a stock worker, which retries so, takes it as it is, ours once it is promoted.
        array_agg(n.queue_name::text) filter (
            where n.status = 'todo' and (n.scheduled_at is null or n.scheduled_at <= clock_timestamp())
        ),
        min(n.scheduled_at) filter (
            where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1()
                and (n.scheduled_at is distinct from o.scheduled_at or n.status <> o.status)
        ),
        -- A lock that was held, or whose line had this job in it, and that this job does not hold now.
        array_agg(o.lock) filter (
            where o.lock is not null
                and (o.status = 'doing' or (o.status = 'todo' and o.scheduled_at is null))
                and (n.status <> 'doing' or n.lock is distinct from o.lock)
        ),
        array_agg(o.queue_name::text) filter (
            where o.lock is not null and o.status = 'doing' and (n.status <> 'doing' or n.lock is distinct from o.lock)
        ),
        array_agg(n.id) filter (
            where n.status <> o.status and n.status = any (array['succeeded', 'failed', 'cancelled', 'aborted']::procrastinate_job_status[])
        ),
        array_agg(n.id) filter (where n.abort_requested and not o.abort_requested),
        array_agg(n.worker_id) filter (where n.worker_id is distinct from o.worker_id and n.worker_id is not null),
        bool_or(n.abort_requested and n.status = 'todo'),
        array_agg(n.id) filter (where n.status <> o.status and not n.qt_ephemeral),
        array_agg(
            case
                when o.status = 'todo' and n.status = 'doing' then 'started'
                when o.status = 'doing' and n.status = 'todo' then 'deferred_for_retry'
                when o.status = 'doing' and n.status = 'failed' then 'failed'
                when o.status = 'doing' and n.status = 'succeeded' then 'succeeded'
                when o.status = 'todo' and n.status = any (array['cancelled', 'failed', 'succeeded']::procrastinate_job_status[]) then 'cancelled'
                when o.status = 'doing' and n.status = 'aborted' then 'aborted'
                when o.status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[]) and n.status = 'todo' then 'retried'
            end::procrastinate_job_event_type
        ) filter (where n.status <> o.status and not n.qt_ephemeral)
    into v_ready, v_scheduled, v_released, v_released_in, v_finished, v_aborting, v_workers, v_wrong, v_changed, v_types
    from old_jobs o
    join new_jobs n on n.id = o.id
    where n.status <> o.status
        or n.scheduled_at is distinct from o.scheduled_at
        or n.abort_requested <> o.abort_requested
        or n.worker_id is distinct from o.worker_id
        or n.queue_name <> o.queue_name
        or n.lock is distinct from o.lock
        or (n.lock is not null and n.priority <> o.priority);

    if v_wrong then
        perform queue_tasks_refuse_abort_v1();
    end if;
    if v_workers is not null then
        perform queue_tasks_require_workers_v1(array(select distinct unnest(v_workers)));
    end if;
    if v_aborting is not null then
        insert into procrastinate_events (job_id, type)
        select n.id, 'abort_requested' from new_jobs n where n.id = any (v_aborting) and not n.qt_ephemeral;
        -- Stock workers act on the id in the payload; ours take it as a hint and read the row.
        perform
            pg_notify(channel.name, jsonb_build_object('type', 'abort_job_requested', 'job_id', n.id)::text)
        from new_jobs n
        cross join lateral (
            select 'procrastinate_queue_v1#' || n.queue_name as name where octet_length(n.queue_name) <= 40
            union all
            select 'procrastinate_any_queue_v1'
        ) channel
        where n.id = any (v_aborting) and n.status = 'doing';
    end if;
    if v_scheduled is not null then
        v_told := queue_tasks_tell_scheduled_v1(v_scheduled, null) is null;
        insert into procrastinate_events (job_id, type, at)
        select n.id, 'scheduled', n.scheduled_at
        from old_jobs o
        join new_jobs n on n.id = o.id
        where n.status = 'todo'
            and n.scheduled_at < queue_tasks_parked_until_v1()
            and (n.scheduled_at is distinct from o.scheduled_at or n.status <> o.status)
            and not n.qt_ephemeral;
    end if;

    if v_changed is not null then
        insert into procrastinate_events (job_id, type)
        select c.id, c.type from unnest(v_changed, v_types) c (id, type) where c.type is not null;
    end if;

    if v_released is not null then
        -- The queue of the next in each line; and always that of the job that held the lock: a job that is being
        -- enqueued at this moment by another session cannot be seen from here, and its own wake-up came too early.
        select array_agg(head.queue_name::text) into v_waiting
        from (select distinct unnest(v_released) as lock) r
        cross join lateral (
            select j.queue_name
            from procrastinate_jobs j
            where j.lock = r.lock and j.status = 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit 1
        ) head;
        v_ready := v_ready || v_released_in || v_waiting;
    end if;
    -- The end of a job makes room in a queue with a limit. Told whether or not one waits there: one that is being enqueued
    -- at this moment cannot be seen from here.
    if exists (select from queue_tasks_queues q where q.concurrency is not null) then
        select v_ready || array_agg(o.queue_name::text) into v_ready
        from old_jobs o
        join new_jobs n on n.id = o.id
        where o.status = 'doing' and n.status <> 'doing'
            and o.queue_name = any (array(select q.queue_name from queue_tasks_queues q where q.concurrency is not null));
    end if;
    if v_ready is not null then
        perform queue_tasks_wake_queues_v1(array(select distinct unnest(v_ready)));
    end if;
    if v_finished is not null then
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_told := queue_tasks_tell_finished_v1(v_finished) is null;
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_updated_v1() is 'Events, wake-ups and tellings of changed jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_updated
    after update on procrastinate_jobs
    referencing old table as old_jobs new table as new_jobs
    for each statement
    when (queue_tasks_is_not_fetching_v1())
    execute function queue_tasks_jobs_updated_v1();
