-- measure_tables() -> one row for each table of the queue, as diagnosis.Table
-- What the statistics say of procrastinate's tables and ours; no row of theirs is read. The bloat of a table is what it
-- has more than its rows need by their mean width; of one that was never analyzed nothing is known.
-- Called by  diagnosis.diagnose
select
    c.relname::text as name,
    coalesce(t.n_live_tup, 0) as live,
    coalesce(t.n_dead_tup, 0) as dead,
    pg_relation_size(c.oid) as table_bytes,
    pg_indexes_size(c.oid) as index_bytes,
    case
        when c.reltuples >= 0 and w.width is not null
        then greatest(0, pg_relation_size(c.oid) - ceil(c.reltuples * (w.width + 28)))::bigint
    end as bloat_bytes,
    greatest(t.last_vacuum, t.last_autovacuum) as vacuumed_at,
    greatest(t.last_analyze, t.last_autoanalyze) as analyzed_at,
    coalesce(
        (
            select o.option_value::boolean
            from pg_options_to_table(c.reloptions) o
            where o.option_name = 'autovacuum_enabled'
        ),
        true
    ) as autovacuum
from pg_class c
left join pg_stat_user_tables t on t.relid = c.oid
left join lateral (
    -- A null takes no room.
    select sum(s.avg_width * (1 - s.null_frac))::double precision as width
    from pg_stats s
    where s.schemaname = c.relnamespace::regnamespace::text and s.tablename = c.relname
) w on true
where c.relkind = 'r'
    and c.relnamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and (starts_with(c.relname, 'procrastinate_') or starts_with(c.relname, 'queue_tasks_'))
order by pg_total_relation_size(c.oid) desc, c.relname
