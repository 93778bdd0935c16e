-- procrastinate_events_qt_inserted: after insert on procrastinate_events, for each row
-- An event is of a job that exists. Events written by our own triggers, or by a fetch, are, and are not checked again: for these
-- a row's trigger costs a comparison, where a statement's would have the server copy each of them.
-- Called by  whoever inserts events directly
create or replace function queue_tasks_events_inserted_v1() returns trigger
    language plpgsql
as $body$
begin
    perform queue_tasks_require_jobs_v1(array[new.job_id]);
    return null;
end
$body$;

comment on function queue_tasks_events_inserted_v1() is 'Refuse events of jobs that do not exist.';

create or replace trigger procrastinate_events_qt_inserted
    after insert on procrastinate_events
    for each row
    when (((pg_trigger_depth() = 0) and queue_tasks_is_not_fetching_v1()))
    execute function queue_tasks_events_inserted_v1();
