-- procrastinate_jobs_qt_deleted: after delete on procrastinate_jobs, for each statement
-- Deletes the events of deleted jobs and unlinks them from periodic defers, as upstream's foreign keys and row trigger
-- did; wakes those who waited for a deleted job's lock, result, or share of a limit.
-- Called by  every delete
-- Writes     procrastinate_events, procrastinate_periodic_defers
-- Index      procrastinate_events_job_id_fkey_v1, procrastinate_periodic_defers_job_id_fkey_v1,
--            procrastinate_jobs_qt_locked_idx
--
-- By arrays, not joins: a plan is kept, and one made while the events are few would read all of them later.
create or replace function queue_tasks_jobs_deleted_v1() returns trigger
    language plpgsql
    set enable_seqscan = off
    set jit = off
as $body$
declare
    v_ids bigint[];
    v_kept bigint[];
    v_released text[];
    v_released_in text[];
    v_finished bigint[];
    v_waiting text[];
    v_told boolean;
begin
    select
        array_agg(o.id),
        array_agg(o.id) filter (where not o.qt_ephemeral),
        array_agg(distinct o.lock) filter (
            where o.lock is not null and (o.status = 'doing' or (o.status = 'todo' and o.scheduled_at is null))
        ),
        array_agg(distinct o.queue_name::text) filter (where o.lock is not null and o.status = 'doing'),
        array_agg(o.id) filter (where o.status = any (array['todo', 'doing']::procrastinate_job_status[]))
    into v_ids, v_kept, v_released, v_released_in, v_finished
    from old_jobs o;

    if v_ids is null then
        return null;
    end if;
    if v_kept is not null then
        delete from procrastinate_events e where e.job_id = any (v_kept);
    end if;
    -- By id, as upstream's defer does when it deletes the old ones.
    with held as materialized (
        select p.id from procrastinate_periodic_defers p where p.job_id = any (v_ids) order by p.id for no key update
    )
    update procrastinate_periodic_defers p set job_id = null where p.id = any (array(select h.id from held h));

    if v_released is not null then
        -- As in queue_tasks_jobs_updated_v1.
        select array_agg(distinct head.queue_name::text) into v_waiting
        from unnest(v_released) r (lock)
        cross join lateral (
            select j.queue_name
            from procrastinate_jobs j
            where j.lock = r.lock and j.status = 'todo' and j.scheduled_at is null
            order by j.priority desc, j.id
            limit 1
        ) head;
        v_waiting := v_waiting || v_released_in;
    end if;
    if exists (select from queue_tasks_queues q where q.concurrency is not null) then
        select v_waiting || array_agg(distinct o.queue_name::text) into v_waiting
        from old_jobs o
        where o.status = 'doing'
            and o.queue_name = any (array(select q.queue_name from queue_tasks_queues q where q.concurrency is not null));
    end if;
    if v_waiting is not null then
        perform queue_tasks_wake_queues_v1(array(select distinct unnest(v_waiting)));
    end if;
    if v_finished is not null then
        -- Assigned, not performed: see queue_tasks_wake_queue_v1.
        v_told := queue_tasks_tell_finished_v1(v_finished) is null;
    end if;
    return null;
end
$body$;

comment on function queue_tasks_jobs_deleted_v1() is 'What follows from deleted jobs, once a statement.';

create or replace trigger procrastinate_jobs_qt_deleted
    after delete on procrastinate_jobs
    referencing old table as old_jobs
    for each statement
    execute function queue_tasks_jobs_deleted_v1();
