-- queue_tasks_schedules_changed: after insert, delete or update of revision on queue_tasks_schedules, for each row
-- Tells running workers that a schedule was added, changed or taken away; not that it ticked.
-- Called by  sync, and everything an operator does
create or replace trigger queue_tasks_schedules_changed
    after insert or delete or update of revision on queue_tasks_schedules
    for each row
    execute function queue_tasks_tell_v1('queue_tasks_schedules');
