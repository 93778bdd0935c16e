-- end_build(lock_timeout, statement_timeout) -> one row
-- What begin_build has changed is as it was.
-- Called by  schema.repair
select
    set_config('lock_timeout', %(lock_timeout)s, false),
    set_config('statement_timeout', %(statement_timeout)s, false),
    pg_advisory_unlock(29045, 0)
