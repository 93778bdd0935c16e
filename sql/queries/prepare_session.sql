-- prepare_session(isolation, statement_timeout, lock_timeout, synchronous_commit) -> one row
-- What our own sessions need whatever the role's or the database's defaults are. Timeouts in milliseconds.
-- Called by  connections.WorkerConnection
select
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('default_transaction_read_only', 'off', false),
    set_config('idle_in_transaction_session_timeout', '0', false),
    set_config('statement_timeout', %(statement_timeout)s, false),
    set_config('lock_timeout', %(lock_timeout)s, false),
    set_config('synchronous_commit', %(synchronous_commit)s, false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    -- The only one psycopg reads times in.
    set_config('DateStyle', 'ISO', false)
