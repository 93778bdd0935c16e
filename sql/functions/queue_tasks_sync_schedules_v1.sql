-- queue_tasks_sync_schedules_v1(declared jsonb) -> one row for each schedule that changed: name text, change text (added, changed, back or gone)
-- Bring what the code declares to the database: an array of objects with the names of queue_tasks_schedules' columns.
-- What an operator has overridden or paused stays so. A schedule that is not declared any more is marked as gone and
-- does not tick; nothing is deleted. When it ticks is counted anew only where that was changed.
-- Called by  queries/sync_schedules.sql
-- Writes     queue_tasks_schedules
-- Locks      an advisory lock of the transaction: workers that start together come one after the other
create or replace function queue_tasks_sync_schedules_v1(p_declared jsonb)
    returns table (name text, change text)
    language plpgsql
as $body$
#variable_conflict use_column
declare
    v_declared record;
    v_known record;
begin
    -- 29044 is "qt" in ASCII.
    perform pg_advisory_xact_lock(29044, 0);
    for v_declared in
        select
            d.name, d.task_name, d.queue_name, d.priority, d.lock, d.args, d.ephemeral,
            d.cron, d.every, d.timezone, d.missed, d.max_missed, d.overlap, d.jitter
        from jsonb_populate_recordset(null::queue_tasks_schedules, p_declared) d
    loop
        select
            s.id,
            s.gone_at is not null as gone,
            (
                s.declared, s.gone_at is null, s.task_name, s.queue_name, s.priority, s.lock, s.args, s.ephemeral,
                s.cron, s.every, s.timezone, s.missed, s.max_missed, s.overlap, s.jitter
            ) is not distinct from (
                true, true, v_declared.task_name, v_declared.queue_name, v_declared.priority, v_declared.lock,
                v_declared.args, v_declared.ephemeral, v_declared.cron, v_declared.every, v_declared.timezone,
                v_declared.missed, v_declared.max_missed, v_declared.overlap, v_declared.jitter
            ) as same,
            s.gone_at is not null
                or (
                    s.override_cron is null and s.override_every is null
                    and (s.cron, s.every) is distinct from (v_declared.cron, v_declared.every)
                )
                or (s.override_timezone is null and s.timezone <> v_declared.timezone) as anew
        into v_known
        from queue_tasks_schedules s
        where s.name = v_declared.name
        for update;
        if not found then
            insert into queue_tasks_schedules (
                name, task_name, queue_name, priority, lock, args, ephemeral,
                cron, every, timezone, missed, max_missed, overlap, jitter
            )
            values (
                v_declared.name, v_declared.task_name, v_declared.queue_name, v_declared.priority, v_declared.lock,
                v_declared.args, v_declared.ephemeral, v_declared.cron, v_declared.every, v_declared.timezone,
                v_declared.missed, v_declared.max_missed, v_declared.overlap, v_declared.jitter
            );
            return query select v_declared.name, 'added'::text;
        elsif not v_known.same then
            update queue_tasks_schedules s
            set
                declared = true,
                gone_at = null,
                task_name = v_declared.task_name,
                queue_name = v_declared.queue_name,
                priority = v_declared.priority,
                lock = v_declared.lock,
                args = v_declared.args,
                ephemeral = v_declared.ephemeral,
                cron = v_declared.cron,
                every = v_declared.every,
                timezone = v_declared.timezone,
                missed = v_declared.missed,
                max_missed = v_declared.max_missed,
                overlap = v_declared.overlap,
                jitter = v_declared.jitter,
                revision = s.revision + 1,
                last_tick = case when v_known.anew then clock_timestamp() else s.last_tick end,
                next_tick = case when v_known.anew then null else s.next_tick end
            where s.id = v_known.id;
            return query select v_declared.name, case when v_known.gone then 'back' else 'changed' end;
        end if;
    end loop;

    return query
    update queue_tasks_schedules s
    set gone_at = clock_timestamp(), revision = s.revision + 1
    where s.declared
        and s.gone_at is null
        and s.name <> all (array(select d ->> 'name' from jsonb_array_elements(p_declared) d))
    returning s.name, 'gone'::text;
end
$body$;

comment on function queue_tasks_sync_schedules_v1(jsonb) is 'Bring what the code declares to the database.';
