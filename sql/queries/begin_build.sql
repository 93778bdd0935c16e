-- begin_build(backend_pid, lock_timeout) -> 0 or 1 row: lock_timeout text, statement_timeout text, as they were until now
-- Prepare a session for building indexes: no limit but on each wait for a lock, in milliseconds. No row, and nothing is set,
-- when another session is at it, or a pooler stands in between (backend_pid: as in prepare_session). 29045 is one more
-- than "qt" in ASCII.
-- Called by  schema.repair
-- Locks      an advisory lock of the session
with alone as materialized (
    select case when pg_backend_pid() = %(backend_pid)s::integer then pg_try_advisory_lock(29045, 0) else false end as is_ours
),
before as materialized (
    select current_setting('lock_timeout') as lock_timeout, current_setting('statement_timeout') as statement_timeout
    from alone
    where is_ours
)
select
    b.lock_timeout,
    b.statement_timeout,
    set_config('lock_timeout', %(lock_timeout)s, false),
    set_config('statement_timeout', '0', false)
from before b
