-- queue_tasks_run_after_v1(meta) -> timestamp with time zone; null when there is none, or something that is no time
-- The time a job was scheduled for, as enqueue wrote it into qt_meta. What a stranger wrote there must not end the statement
-- that looks: only text of enqueue's own form is read, and a day beyond its month's end is one of the next.
-- Called by  queries/count_queues.sql, queries/measure_backlog.sql, queries/measure_jobs.sql
create or replace function queue_tasks_run_after_v1(p_meta jsonb) returns timestamp with time zone
    language sql stable parallel safe
as $body$
    select case
        when p_meta ->> 'run_after' ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?[+-](0[0-9]|1[0-4])(:[0-5][0-9])?$'
        then (left(p_meta ->> 'run_after', 8) || '01' || substr(p_meta ->> 'run_after', 11))::timestamp with time zone
            + make_interval(days => substr(p_meta ->> 'run_after', 9, 2)::integer - 1)
    end
$body$;

comment on function queue_tasks_run_after_v1(jsonb) is 'The time a job was scheduled for; null when there is none, or something that is no time.';
