-- span() -> one row: seconds from the first start to the last end
-- Called by  benchmarks.measures.processes
select extract(epoch from max(qt_finished_at) - min(qt_started_at))::double precision from procrastinate_jobs
