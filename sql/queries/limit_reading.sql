-- limit_reading(statement_timeout) -> one row
-- For a transaction that only looks: no statement takes longer, in milliseconds, and none writes.
-- Called by  caller.reading
select
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('transaction_read_only', 'on', true)
