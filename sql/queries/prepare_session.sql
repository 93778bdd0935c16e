-- prepare_session(backend_pid, statement_timeout, lock_timeout, synchronous_commit) -> one row: direct boolean, and more
-- What our own sessions need whatever the role's or the database's defaults are. Timeouts in milliseconds.
-- backend_pid: what the connection believes to speak to. When it is not that, a pooler stands in between; then nothing is
-- set, because the session is another's as soon as this statement has ended.
-- Called by  connections.connect, results.TaskResult
select d.direct, s.*
from (select pg_backend_pid() = %(backend_pid)s::integer as direct) d
left join lateral (
    select
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('default_transaction_read_only', 'off', false),
        set_config('idle_session_timeout', '0', false),
        -- Ours are in a transaction for the length of a statement or two; one whose worker is gone must not hold locks.
        set_config('idle_in_transaction_session_timeout', %(statement_timeout)s, false),
        -- Postgres 17 and newer.
        case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', false) end,
        set_config('statement_timeout', %(statement_timeout)s, false),
        set_config('lock_timeout', %(lock_timeout)s, false),
        set_config('synchronous_commit', %(synchronous_commit)s, false),
        set_config('plan_cache_mode', 'force_generic_plan', false),
        -- The only one psycopg reads times in.
        set_config('DateStyle', 'ISO', false),
        -- The server's side of a connection whose worker has lost its network, and the locks it holds, end soon.
        set_config('tcp_keepalives_idle', '10', false),
        set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false)
    where d.direct
) s on true
