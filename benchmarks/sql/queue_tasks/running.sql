-- running() -> no rows
-- Running jobs, more than pgbench has clients, of which nothing is kept; and one that is due soon.
-- Called by  benchmarks.measures.notify
insert into procrastinate_jobs (queue_name, task_name, status, scheduled_at, qt_ephemeral)
select
    'default',
    'benchmarks.tasks.noop',
    case when n > 100 then 'todo' else 'doing' end::procrastinate_job_status,
    case when n > 100 then now() + interval '1 minute' end,
    true
from generate_series(1, 101) n
