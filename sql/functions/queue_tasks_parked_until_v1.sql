-- queue_tasks_parked_until_v1() -> timestamp with time zone
-- The scheduled_at of a parked job: it waits for somebody to free it, not for a time.
-- A finite date, since clients cannot load 'infinity', with room for any time zone's offset below the year 9999.
-- Called by  queue_tasks_promote_jobs_v1, queue_tasks_look_v1, the triggers on procrastinate_jobs, the statements that show a job's state
create or replace function queue_tasks_parked_until_v1() returns timestamp with time zone
    language sql immutable parallel safe
as $body$
    select '9000-01-01 00:00:00+00'::timestamp with time zone
$body$;

comment on function queue_tasks_parked_until_v1() is 'The scheduled_at of a parked job.';
