-- sizes() -> one row: our worker's sessions, bytes of the table, bytes of its indexes
-- Called by  benchmarks.measures.soak
select
    (
        select count(*) from pg_stat_activity
        where datname = current_database() and application_name like 'queue_tasks%'
    ),
    pg_table_size('procrastinate_jobs'),
    pg_indexes_size('procrastinate_jobs')
