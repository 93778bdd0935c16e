-- queue_tasks_enqueue_v1(task, args, kwargs, queue_name, priority, run_after, lock, ephemeral) -> bigint
-- Enqueue one job from SQL, in the caller's transaction: from psql, a trigger, another language. Returns the job's id.
-- The setting queue_tasks.traceparent, if it is set, names the span of OpenTelemetry that enqueues.
-- Called by  users
-- Writes     procrastinate_jobs, by queue_tasks_enqueue_job_v1
-- Raises     QT001 an argument is missing or of the wrong shape
create or replace function queue_tasks_enqueue_v1(
    task text,
    args jsonb default '[]',
    kwargs jsonb default '{}',
    queue_name text default 'default',
    priority integer default 0,
    run_after timestamp with time zone default null,
    lock text default null,
    ephemeral boolean default false
) returns bigint
    language plpgsql
as $body$
#variable_conflict use_variable
declare
    -- Of the span that enqueues, if the session or the transaction names one: a trigger has nobody to be told by.
    v_trace constant text := current_setting('queue_tasks.traceparent', true);
    v_meta jsonb;
begin
    if task is null or task = '' or length(task) > 128 then
        raise exception 'queue_tasks_enqueue_v1: task is %, expected the dotted path of a task, 1 to 128 characters', coalesce(quote_literal(task), 'null')
            using errcode = 'QT001', hint = 'For example: task => ''site_app.photos.tasks.make_rendition''';
    end if;
    if args is null or jsonb_typeof(args) <> 'array' then
        raise exception 'queue_tasks_enqueue_v1: args of task % is %, expected a JSON array', task, coalesce(jsonb_typeof(args), 'null')
            using errcode = 'QT001', hint = 'Positional arguments: args => ''[1, "two"]''; named ones: kwargs => ''{"name": 1}''';
    end if;
    if kwargs is null or jsonb_typeof(kwargs) <> 'object' then
        raise exception 'queue_tasks_enqueue_v1: kwargs of task % is %, expected a JSON object', task, coalesce(jsonb_typeof(kwargs), 'null')
            using errcode = 'QT001', hint = 'Named arguments: kwargs => ''{"name": 1}''';
    end if;
    if queue_name is null or queue_name = '' or length(queue_name) > 128 then
        raise exception 'queue_tasks_enqueue_v1: queue_name of task % is %, expected 1 to 128 characters', task, coalesce(quote_literal(queue_name), 'null')
            using errcode = 'QT001';
    end if;
    if priority is null or priority not between -100 and 100 then
        raise exception 'queue_tasks_enqueue_v1: priority of task % is %, expected a whole number from -100 to 100', task, coalesce(priority::text, 'null')
            using errcode = 'QT001';
    end if;
    if run_after >= queue_tasks_parked_until_v1() or run_after = '-infinity' then
        raise exception 'queue_tasks_enqueue_v1: run_after of task % is %, expected a time before the year 9000', task, run_after
            using errcode = 'QT001', hint = 'A job that must wait for something else than a time is parked, which only queue_tasks does.';
    end if;
    if v_trace ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        v_meta := jsonb_build_object('trace', jsonb_build_object('traceparent', v_trace));
    end if;
    return (queue_tasks_enqueue_job_v1(
        queue_name,
        task,
        priority,
        lock,
        jsonb_build_object('args', args, 'kwargs', kwargs),
        run_after,
        coalesce(ephemeral, false),
        v_meta
    ))[1];
end
$body$;

comment on function queue_tasks_enqueue_v1(text, jsonb, jsonb, text, integer, timestamp with time zone, text, boolean) is 'Enqueue one job in the caller''s transaction; returns its id.';
