-- queue_tasks_tell_v1() -> trigger
-- Say on the channel that the trigger names that something changed. A hint: whoever hears it reads the rows.
-- Called by  procrastinate_workers_qt_told, queue_tasks_queues_changed, queue_tasks_schedules_changed
create or replace function queue_tasks_tell_v1() returns trigger
    language plpgsql
as $body$
begin
    perform pg_notify(tg_argv[0], '');
    return null;
end
$body$;

comment on function queue_tasks_tell_v1() is 'Say on a channel that something changed.';
