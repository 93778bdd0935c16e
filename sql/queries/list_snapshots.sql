-- list_snapshots(max_rows) -> up to max_rows rows, the oldest first, as diagnosis.Snapshot
-- Who keeps Postgres from clearing dead rows of this database: open transactions and what outlives a session. Statements
-- are not told: they may hold what is secret. A session that the role may not see has no age.
-- Called by  diagnosis.diagnose
select h.kind, h.name, h.pid, h.state, h.age, h.transactions
from (
    select
        'session' as kind,
        coalesce(nullif(a.application_name, ''), a.backend_type, 'hidden') as name,
        a.pid,
        a.state,
        extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start))::double precision as age,
        age(a.backend_xmin)::bigint as transactions
    from pg_stat_activity a
    where a.datname = current_database() and a.backend_xmin is not null and a.pid <> pg_backend_pid()
    union all
    select
        'prepared transaction',
        p.gid,
        null,
        null,
        extract(epoch from clock_timestamp() - p.prepared)::double precision,
        age(p.transaction)::bigint
    from pg_prepared_xacts p
    where p.database = current_database()
    union all
    select
        'replication slot',
        s.slot_name::text,
        s.active_pid,
        case when s.active then 'active' else 'inactive' end,
        null,
        greatest(age(s.xmin), age(s.catalog_xmin))::bigint
    from pg_replication_slots s
    where s.xmin is not null or s.catalog_xmin is not null
) h
order by h.age desc nulls last, h.transactions desc
limit %(max_rows)s::bigint
