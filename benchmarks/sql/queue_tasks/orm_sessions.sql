-- orm_sessions() -> one row: sessions that Django opened on this database, which name no application
-- Called by  benchmarks.measures.sync
select count(*) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and application_name = ''
