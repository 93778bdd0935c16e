-- procrastinate_events_qt_inserted: after insert on procrastinate_events, for each statement
-- An event is of a job that exists. Events written by our own triggers are, and are not checked again.
-- Called by  whoever inserts events directly
create or replace function queue_tasks_events_inserted_v1() returns trigger
    language plpgsql
as $body$
declare
    v_jobs bigint[];
begin
    select array_agg(distinct n.job_id) into v_jobs from new_events n;
    if v_jobs is not null then
        perform queue_tasks_require_jobs_v1(v_jobs);
    end if;
    return null;
end
$body$;

comment on function queue_tasks_events_inserted_v1() is 'Refuse events of jobs that do not exist.';

create or replace trigger procrastinate_events_qt_inserted
    after insert on procrastinate_events
    referencing new table as new_events
    for each statement
    when (pg_trigger_depth() = 0)
    execute function queue_tasks_events_inserted_v1();
