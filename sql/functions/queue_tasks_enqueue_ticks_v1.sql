-- queue_tasks_enqueue_ticks_v1(schedule_id, ticks, run_afters) -> one row for each tick: tick timestamptz, job_id bigint
-- Enqueue one job of a schedule for each tick, in the order given. run_afters: of the length of ticks; past means now.
-- Called by  queue_tasks_fire_schedule_v1, queue_tasks_run_schedule_v1
-- Writes     procrastinate_jobs
create or replace function queue_tasks_enqueue_ticks_v1(p_schedule_id bigint, p_ticks timestamp with time zone[], p_run_afters timestamp with time zone[])
    returns table (tick timestamp with time zone, job_id bigint)
    language plpgsql
as $body$
begin
    return query
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    select
        s.queue_name,
        s.task_name,
        s.priority,
        s.lock,
        s.args,
        case when t.run_after > clock_timestamp() then t.run_after end,
        s.ephemeral,
        jsonb_build_object('schedule', s.name, 'scheduled_for', t.tick)
    from unnest(p_ticks, p_run_afters) with ordinality as t (tick, run_after, position)
    join queue_tasks_schedules s on s.id = p_schedule_id
    order by t.position
    returning (qt_meta ->> 'scheduled_for')::timestamp with time zone, id;
end
$body$;

comment on function queue_tasks_enqueue_ticks_v1(bigint, timestamp with time zone[], timestamp with time zone[]) is 'Enqueue one job of a schedule for each tick.';
