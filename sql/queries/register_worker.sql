-- register_worker(name, host, pid, version, queues, concurrency, told) -> one row: id bigint
-- Make a worker known; its number is new for each process.
-- Called by  store.WorkerStore.register_worker
insert into procrastinate_workers (qt_name, qt_host, qt_pid, qt_version, qt_queues, qt_concurrency, qt_told, qt_started_at)
values (%(name)s, %(host)s, %(pid)s, %(version)s, %(queues)s::text[], %(concurrency)s, %(told)s::text, statement_timestamp())
returning id
