-- procrastinate_periodic_defers_qt_updated: after update on procrastinate_periodic_defers, for each statement
-- A periodic defer names a job that exists, or none.
-- Called by  upstream's procrastinate_defer_periodic_job_v2
create or replace function queue_tasks_periodic_defers_updated_v1() returns trigger
    language plpgsql
as $body$
declare
    v_jobs bigint[];
begin
    select array_agg(distinct n.job_id) into v_jobs from new_defers n where n.job_id is not null;
    if v_jobs is not null then
        perform queue_tasks_require_jobs_v1(v_jobs);
    end if;
    return null;
end
$body$;

comment on function queue_tasks_periodic_defers_updated_v1() is 'Refuse periodic defers of jobs that do not exist.';

create or replace trigger procrastinate_periodic_defers_qt_updated
    after update on procrastinate_periodic_defers
    referencing new table as new_defers
    for each statement
    when (pg_trigger_depth() = 0)
    execute function queue_tasks_periodic_defers_updated_v1();
