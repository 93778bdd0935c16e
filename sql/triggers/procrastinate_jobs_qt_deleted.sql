-- procrastinate_jobs_qt_deleted: after delete on procrastinate_jobs, for each statement
-- Deletes the events of deleted jobs and unlinks them from periodic defers, as upstream's foreign keys and row trigger
-- did; wakes those who waited for a deleted job's lock or result.
-- Called by  every delete
-- Writes     procrastinate_events, procrastinate_periodic_defers
create or replace function queue_tasks_jobs_deleted_v1() returns trigger
    language plpgsql
    set enable_seqscan = off
as $body$
declare
    v_released text[];
    v_finished bigint[];
    v_waiting text[];
    v_kept boolean;
begin
    select
        array_agg(distinct o.lock) filter (where o.lock is not null and o.status = any (array['todo', 'doing']::procrastinate_job_status[])),
        array_agg(o.id) filter (where o.status = any (array['todo', 'doing']::procrastinate_job_status[])),
        bool_or(not o.qt_ephemeral)
    into v_released, v_finished, v_kept
    from old_jobs o;

    if v_kept then
        delete from procrastinate_events e using old_jobs o where e.job_id = o.id and not o.qt_ephemeral;
    end if;
    update procrastinate_periodic_defers p set job_id = null from old_jobs o where p.job_id = o.id;

    if v_released is not null then
        select array_agg(distinct j.queue_name::text) into v_waiting
        from procrastinate_jobs j
        where j.lock = any (v_released)
            and j.status = any (array['todo', 'doing']::procrastinate_job_status[])
            and j.status = 'todo'
            and j.scheduled_at is null;
        if v_waiting is not null then
            perform queue_tasks_wake_queues_v1(v_waiting);
        end if;
    end if;
    if v_finished is not null then
        perform queue_tasks_tell_finished_v1(v_finished);
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
