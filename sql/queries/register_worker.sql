-- register_worker(name, host, pid, queues, concurrency) -> one row: id bigint
-- Make a worker known; its number is new for each process.
-- Called by  store.Store.register_worker
insert into procrastinate_workers (qt_name, qt_host, qt_pid, qt_queues, qt_concurrency, qt_started_at)
values (%(name)s, %(host)s, %(pid)s, %(queues)s::text[], %(concurrency)s, statement_timestamp())
returning id
