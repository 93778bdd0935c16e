-- queue_tasks_look_v1(worker_id, queues) -> one row: ready, due, ticks, lost, expired, booleans; next_due_at double precision
-- What a worker that has nothing to do could find to do, in one look.
-- queues:  names that it works; null: all
-- ready:   whether some job is ready in its queues; it may be held back by a pause, a lock or a limit
-- due:     whether the time of some scheduled job has come
-- ticks:   whether some schedule has ticked, or its next tick is to be found
-- lost:    whether some job runs under no worker, or under this one, which has none in hand
-- expired: whether the time of some finished job to be kept is over
-- next_due_at: when the next scheduled job is due that is not due yet, in seconds since 1970; null: none is scheduled
-- Called by  queries/look_around.sql
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_scheduled_idx,
--            procrastinate_jobs_qt_unowned_idx, idx_procrastinate_jobs_worker_not_null, procrastinate_jobs_qt_expires_idx
create or replace function queue_tasks_look_v1(p_worker_id bigint, p_queues text[])
    returns table (ready boolean, due boolean, ticks boolean, lost boolean, expired boolean, next_due_at double precision)
    language plpgsql
    stable
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $body$
declare
    -- A volatile function is no bound for an index.
    v_now timestamp with time zone := clock_timestamp();
begin
    -- In the order of the index that is meant: there are others that a planner might walk along.
    if p_queues is null then
        ready := (
            select j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) is not null or (
            select j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) is not null;
    else
        ready := exists (
            select
            from unnest(p_queues) q (name)
            where (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null or (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null
        );
    end if;
    due := exists (
        select from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at is not null and j.scheduled_at <= v_now
    );
    next_due_at := (
        select date_part('epoch', j.scheduled_at) from procrastinate_jobs j
        where j.status = 'todo' and j.scheduled_at > v_now and j.scheduled_at < queue_tasks_parked_until_v1()
        order by j.scheduled_at limit 1
    );
    ticks := exists (
        select from queue_tasks_schedules s
        where s.paused_at is null and s.gone_at is null and (s.next_tick is null or s.next_tick <= v_now)
    );
    lost := exists (
        select from procrastinate_jobs j where j.status = 'doing' and j.worker_id is null
    ) or exists (
        select from procrastinate_jobs j where j.status = 'doing' and j.worker_id = p_worker_id
    );
    expired := exists (
        select from procrastinate_jobs j
        where j.qt_expires_at <= v_now
            and j.status = any (array['succeeded', 'cancelled', 'aborted']::procrastinate_job_status[])
    );
    return next;
end
$body$;

comment on function queue_tasks_look_v1(bigint, text[]) is 'What a worker that has nothing to do could find to do.';
