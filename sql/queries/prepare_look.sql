-- prepare_look(statement_timeout, read_only) -> one row
-- For an answer to a visitor or a scraper, until the end of its transaction: how long a statement may take, in
-- milliseconds, and whether anything may be written ('on': nothing).
-- Called by  caller.reading, dashboard.access
select
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('transaction_read_only', %(read_only)s, true),
    set_config('jit', 'off', true)
