-- measure_server() -> one row, as diagnosis.Server
-- What of the server and of this session's role matters to the queue.
-- Called by  diagnosis.diagnose
select
    current_setting('server_version') as version,
    current_setting('autovacuum')::boolean as autovacuum,
    pg_has_role('pg_read_all_stats', 'usage') as sees_sessions,
    pg_notification_queue_usage() as notify_usage,
    pg_is_in_recovery() as in_recovery,
    (select count(*) from pg_stat_activity a where a.datname = current_database()) as sessions,
    current_setting('max_connections')::integer as max_sessions,
    age(d.datfrozenxid)::bigint as oldest_transaction
from pg_database d
where d.datname = current_database()
