-- queue_tasks_fire_schedule_v1(id, revision, last_tick, ticks, passed, passed_tick, last, following, spread) -> one row for each tick: tick timestamptz, outcome text, job_id bigint
-- See to the ticks of a schedule up to `last`, in one transaction: enqueue a job for each of `ticks` (oldest first), note
-- those passed over, and go on to `following`. Nothing happens, and no row comes back, when somebody else has seen to
-- them, is at it, or has changed the schedule since it was read: (revision, last_tick) says so. A tick that is in the
-- history already makes no second job, even where last_tick was put back by hand. spread: seconds between the starts of
-- several jobs.
-- Called by  queries/fire_schedule.sql
-- Writes     procrastinate_jobs, queue_tasks_ticks, queue_tasks_schedules
-- Locks      the schedule, for update skip locked, until commit
create or replace function queue_tasks_fire_schedule_v1(
    p_id bigint,
    p_revision bigint,
    p_last_tick timestamp with time zone,
    p_ticks timestamp with time zone[],
    p_passed integer,
    p_passed_tick timestamp with time zone,
    p_last timestamp with time zone,
    p_following timestamp with time zone,
    p_spread double precision
) returns table (tick timestamp with time zone, outcome text, job_id bigint)
    language plpgsql
as $body$
#variable_conflict use_column
declare
    v_schedule record;
    v_now timestamp with time zone := clock_timestamp();
    v_new timestamp with time zone[];
    v_ticks timestamp with time zone[];
    v_busy boolean;
    v_job_id bigint;
begin
    select s.overlap, s.jitter, s.last_job_id into v_schedule
    from queue_tasks_schedules s
    where s.id = p_id and s.revision = p_revision and s.last_tick = p_last_tick and s.paused_at is null and s.gone_at is null
    for update skip locked;
    -- A tick is due by the database's clock or not at all.
    if not found or p_last > v_now then
        return;
    end if;

    v_new := array(
        select t.tick
        from unnest(p_ticks) with ordinality t (tick, position)
        where not exists (select from queue_tasks_ticks n where n.schedule_id = p_id and n.tick = t.tick)
        order by t.position
    );
    v_busy := v_schedule.overlap = 'skip' and exists (
        select
        from procrastinate_jobs j
        where j.id = v_schedule.last_job_id and j.status = any (array['todo', 'doing']::procrastinate_job_status[])
    );
    -- Where jobs may not overlap, the first of several ticks makes the one job.
    v_ticks := case when v_busy then '{}' when v_schedule.overlap = 'skip' then v_new[1:1] else v_new end;

    if p_passed > 0 then
        insert into queue_tasks_ticks (schedule_id, tick, outcome, passed)
        values (p_id, p_passed_tick, 'missed', p_passed)
        on conflict do nothing;
    end if;
    insert into queue_tasks_ticks (schedule_id, tick, outcome)
    select p_id, t.tick, 'overlap'
    from unnest(v_new[cardinality(v_ticks) + 1:]) t (tick);
    insert into queue_tasks_ticks (schedule_id, tick, outcome, job_id)
    select p_id, j.tick, 'enqueued', j.job_id
    from queue_tasks_enqueue_ticks_v1(
        p_id,
        v_ticks,
        array(
            select
                greatest(t.tick + make_interval(secs => random() * v_schedule.jitter), v_now)
                    + make_interval(secs => (t.position - 1) * p_spread)
            from unnest(v_ticks) with ordinality t (tick, position)
            order by t.position
        )
    ) j;

    select max(n.job_id) into v_job_id from queue_tasks_ticks n where n.schedule_id = p_id and n.tick = any (v_ticks);
    update queue_tasks_schedules s
    set last_tick = p_last, next_tick = p_following, last_job_id = coalesce(v_job_id, s.last_job_id)
    where s.id = p_id;
    delete from queue_tasks_ticks n
    where n.schedule_id = p_id
        and n.tick < (select k.tick from queue_tasks_ticks k where k.schedule_id = p_id order by k.tick desc offset 99 limit 1);

    return query
    select n.tick, n.outcome, n.job_id
    from queue_tasks_ticks n
    where n.schedule_id = p_id and (n.tick = any (p_ticks) or (p_passed > 0 and n.tick = p_passed_tick))
    order by n.tick;
end
$body$;

comment on function queue_tasks_fire_schedule_v1(bigint, bigint, timestamp with time zone, timestamp with time zone[], integer, timestamp with time zone, timestamp with time zone, timestamp with time zone, double precision) is 'See to the ticks of a schedule: one job for each, once.';
