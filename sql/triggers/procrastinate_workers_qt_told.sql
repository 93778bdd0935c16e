-- procrastinate_workers_qt_told: after update of qt_told on procrastinate_workers, for each statement
-- Tells running workers that one of them was told something: it reads its own row. A heartbeat does not name the column.
-- Called by  queries/tell_worker.sql
create or replace trigger procrastinate_workers_qt_told
    after update of qt_told on procrastinate_workers
    for each statement
    execute function queue_tasks_tell_v1('queue_tasks_control');
