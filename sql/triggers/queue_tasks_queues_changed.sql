-- queue_tasks_queues_changed: after every change of queue_tasks_queues, for each statement
-- Tells running workers that an operator has decided something: they look for jobs, and when a pause ends.
-- Called by  everything an operator does to queues
create or replace function queue_tasks_queues_changed_v1() returns trigger
    language plpgsql
as $body$
begin
    perform pg_notify('queue_tasks_control', '');
    return null;
end
$body$;

comment on function queue_tasks_queues_changed_v1() is 'Tell running workers that an operator has decided something.';

create or replace trigger queue_tasks_queues_changed
    after insert or delete or update on queue_tasks_queues
    for each statement
    execute function queue_tasks_queues_changed_v1();
