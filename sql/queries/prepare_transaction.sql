-- prepare_transaction(statement_timeout, lock_timeout, synchronous_commit) -> one row
-- What prepare_session sets, until the end of one transaction: through a pooler the next may be in another session.
-- Timeouts in milliseconds. The isolation level is in the transaction's begin.
-- Called by  connections.WorkerConnection; schema.repair
select
    set_config('idle_in_transaction_session_timeout', %(statement_timeout)s, true),
    case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', true) end,
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('synchronous_commit', %(synchronous_commit)s, true),
    set_config('DateStyle', 'ISO', true)
