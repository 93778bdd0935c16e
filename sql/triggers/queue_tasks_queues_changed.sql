-- queue_tasks_queues_changed: after every change of queue_tasks_queues, for each statement
-- Tells running workers that an operator has decided something: they look for jobs, and when a pause ends.
-- Called by  everything an operator does to queues
create or replace trigger queue_tasks_queues_changed
    after insert or delete or update on queue_tasks_queues
    for each statement
    execute function queue_tasks_tell_v1('queue_tasks_control');
