-- queue_tasks_enqueue_job_v1(queue_name, task_name, priority, lock, args, run_after, ephemeral, meta) -> bigint[]
-- Insert one job, in the caller's transaction; its id, and the time of the statement as microseconds since 1970. A function, since the
-- session keeps its plan: what Django sends is planned anew each time, so that a second column for the time would cost more than the
-- look for sleeping workers. And Django's reading of a time costs a client as much as eight arguments. Nothing is checked here;
-- whoever writes SQL calls queue_tasks_enqueue_v1.
-- run_after: null or a time past means ready at once. meta: null, or an object that run_after is added to.
-- Called by  queries/enqueue_job.sql <- enqueue.enqueue_job; queue_tasks_enqueue_v1
-- Writes     procrastinate_jobs; events and wake-ups by trigger
create or replace function queue_tasks_enqueue_job_v1(
    p_queue_name text,
    p_task_name text,
    p_priority integer,
    p_lock text,
    p_args jsonb,
    p_run_after timestamp with time zone,
    p_ephemeral boolean,
    p_meta jsonb
) returns bigint[]
    language plpgsql
as $body$
declare
    v_id bigint;
begin
    -- Most have none: in the statement itself this is set up for each job.
    if p_run_after is not null then
        p_meta := coalesce(p_meta, '{}') || jsonb_build_object('run_after', p_run_after);
        if p_run_after <= statement_timestamp() then
            p_run_after := null;
        end if;
    end if;
    insert into procrastinate_jobs (queue_name, task_name, priority, lock, args, scheduled_at, qt_ephemeral, qt_meta)
    values (
        p_queue_name,
        p_task_name,
        p_priority,
        p_lock,
        p_args,
        p_run_after,
        p_ephemeral,
        p_meta
    )
    returning id into v_id;
    return array[v_id, (date_part('epoch', statement_timestamp()) * 1000000)::bigint];
end
$body$;

comment on function queue_tasks_enqueue_job_v1(text, text, integer, text, jsonb, timestamp with time zone, boolean, jsonb) is 'Insert one job; returns its id, and when, as microseconds since 1970.';
