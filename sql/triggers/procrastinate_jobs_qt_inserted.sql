-- procrastinate_jobs_qt_inserted: after insert on procrastinate_jobs, for each statement
-- Writes the events of new jobs in one statement, and wakes each queue once, however many rows came. Sees to it that the
-- commit waits for the disk.
-- Called by  every insert, ours, upstream's defer or anybody's
-- Writes     procrastinate_events
create or replace function queue_tasks_jobs_inserted_v1() returns trigger
    language plpgsql
as $body$
declare
    v_id bigint;
    v_queue text;
    v_at timestamp with time zone;
    v_rare boolean;
    v_first text;
    v_last text;
    v_queues text[];
    v_due timestamp with time zone;
    v_kept boolean;
    v_owned boolean;
    v_wrong boolean;
    v_told boolean;
begin
    -- Who was told that his transaction is committed finds his jobs after a crash of the server, even where his role or
    -- session is set not to wait for that.
    if current_setting('synchronous_commit') = 'off'
        and current_setting('queue_tasks.durable_enqueue', true) is distinct from 'off'
    then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    -- The usual case is one new job, and has a way of its own: to set up aggregates takes the server longer than to read a row, and
    -- each expression of a function is set up once in a transaction.
    select
        n.id,
        case when n.scheduled_at is null then n.queue_name end,
        n.scheduled_at,
        not n.qt_ephemeral,
        n.status <> 'todo' or n.scheduled_at <= clock_timestamp() or n.worker_id is not null or n.abort_requested
    into v_id, v_queue, v_at, v_kept, v_rare
    from new_jobs n
    limit 1;
    perform from new_jobs offset 1;
    if (found or v_rare) is not true then
        -- A parked job has no time: an event dated far ahead would keep its row from upstream's delete_old_jobs for ever.
        if v_at < queue_tasks_parked_until_v1() then
            -- Assigned, not performed: plpgsql evaluates an expression by itself, and sends a "perform" through the executor.
            v_told := queue_tasks_tell_scheduled_v1(v_at, v_id) is null;
            if v_kept then
                insert into procrastinate_events (job_id, type, at) values (v_id, 'scheduled', v_at);
            end if;
        end if;
        if v_kept then
            insert into procrastinate_events (job_id, type) values (v_id, 'deferred');
        end if;
        if v_queue is not null then
            v_told := queue_tasks_wake_queue_v1(v_queue) is null;
        end if;
        return null;
    end if;

    -- The queues are listed below, where there are several: an aggregate of distinct values sorts.
    select
        min(n.queue_name) filter (where n.ready),
        max(n.queue_name) filter (where n.ready),
        min(n.scheduled_at) filter (where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1()),
        min(n.id),
        bool_or(n.status = 'todo' and not n.qt_ephemeral),
        bool_or(n.worker_id is not null),
        bool_or(n.abort_requested and n.status = 'todo')
    into v_first, v_last, v_due, v_id, v_kept, v_owned, v_wrong
    from (
        select
            j.id,
            j.queue_name,
            j.status,
            j.scheduled_at,
            j.qt_ephemeral,
            j.worker_id,
            j.abort_requested,
            -- Due already counts: a stock worker takes it as it is, ours once it is promoted.
            j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= clock_timestamp()) as ready
        from new_jobs j
    ) n;

    if v_wrong then
        perform queue_tasks_refuse_abort_v1();
    end if;

    if v_due is not null then
        v_told := queue_tasks_tell_scheduled_v1(v_due, v_id) is null;
        insert into procrastinate_events (job_id, type, at)
        select n.id, 'scheduled', n.scheduled_at
        from new_jobs n
        where n.status = 'todo' and n.scheduled_at < queue_tasks_parked_until_v1() and not n.qt_ephemeral;
    end if;
    if v_kept then
        insert into procrastinate_events (job_id, type)
        select n.id, 'deferred'
        from new_jobs n
        where n.status = 'todo' and not n.qt_ephemeral;
    end if;
    if v_first = v_last then
        v_queues := array[v_first];
    elsif v_first is not null then
        select array_agg(distinct n.queue_name::text) into v_queues
        from new_jobs n
        where n.status = 'todo' and (n.scheduled_at is null or n.scheduled_at <= clock_timestamp());
    end if;
    if v_queues is not null then
        v_told := queue_tasks_wake_queues_v1(v_queues) is null;
    end if;
    if v_owned then
        perform queue_tasks_require_workers_v1((select array_agg(distinct n.worker_id) from new_jobs n where n.worker_id is not null));
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_inserted_v1() is 'Events and wake-ups of new jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_inserted
    after insert on procrastinate_jobs
    referencing new table as new_jobs
    for each statement
    execute function queue_tasks_jobs_inserted_v1();
