-- queue_tasks_run_schedule_v1(name) -> bigint: the job's id; null when there is no such schedule
-- Enqueue a schedule's job now, at no tick of it, also when it is paused or gone.
-- Called by  queries/run_schedule.sql
-- Writes     procrastinate_jobs, queue_tasks_ticks, queue_tasks_schedules
-- Locks      the schedule, for update, until commit
create or replace function queue_tasks_run_schedule_v1(p_name text) returns bigint
    language plpgsql
as $body$
declare
    v_id bigint;
    v_now timestamp with time zone;
    v_job_id bigint;
begin
    select s.id into v_id from queue_tasks_schedules s where s.name = p_name for update;
    if not found then
        return null;
    end if;
    -- After the lock, so that two in a row are two times.
    v_now := clock_timestamp();
    select e.job_id into v_job_id from queue_tasks_enqueue_ticks_v1(v_id, array[v_now], array[v_now]) e;
    insert into queue_tasks_ticks (schedule_id, tick, outcome, job_id) values (v_id, v_now, 'run', v_job_id);
    update queue_tasks_schedules s set last_job_id = v_job_id where s.id = v_id;
    return v_job_id;
end
$body$;

comment on function queue_tasks_run_schedule_v1(text) is 'Enqueue a schedule''s job now.';
