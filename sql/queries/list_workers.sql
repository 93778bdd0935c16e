-- list_workers() -> one row for each registered worker, as overview.WorkerLine; a stock procrastinate worker has no name
-- Called by  overview.list_workers
select
    w.id,
    w.qt_name,
    w.qt_host,
    w.qt_pid,
    w.qt_queues,
    w.qt_concurrency,
    (select count(*) from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing'),
    extract(epoch from clock_timestamp() - w.last_heartbeat)::double precision,
    w.qt_started_at,
    w.qt_told,
    w.qt_version,
    w.qt_memory
from procrastinate_workers w
order by w.id
