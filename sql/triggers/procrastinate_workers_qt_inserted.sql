-- procrastinate_workers_qt_inserted: after insert on procrastinate_workers, for each statement
-- A stock procrastinate worker listens without saying so: it is told of every job. Open pages look again.
-- Called by  every registering, ours or upstream's
-- Writes     queue_tasks_listeners
create or replace function queue_tasks_workers_inserted_v1() returns trigger
    language plpgsql
as $body$
begin
    insert into queue_tasks_listeners (worker_id)
    select n.id from new_workers n where n.qt_name is null
    on conflict (worker_id) do nothing;
    perform pg_notify('queue_tasks_workers', '');
    return null;
end
$body$;

comment on function queue_tasks_workers_inserted_v1() is 'A stock worker is told of every job.';

create or replace trigger procrastinate_workers_qt_inserted
    after insert on procrastinate_workers
    referencing new table as new_workers
    for each statement
    execute function queue_tasks_workers_inserted_v1();
