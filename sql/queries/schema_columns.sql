-- schema_columns() -> table text, column text, definition text; our columns on procrastinate's tables, and those of our own tables but for their keys
-- Called by  schema.status
select
    c.relname::text,
    a.attname::text,
    format_type(a.atttypid, a.atttypmod)
        || case when a.attnotnull then ' not null' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as definition
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any (
        array[
            to_regclass('procrastinate_jobs'),
            to_regclass('procrastinate_workers'),
            to_regclass('queue_tasks_listeners'),
            to_regclass('queue_tasks_schedules'),
            to_regclass('queue_tasks_ticks'),
            to_regclass('queue_tasks_changes'),
            to_regclass('queue_tasks_figures'),
            to_regclass('queue_tasks_queues')
        ]
    )
    and a.attnum > 0
    and not a.attisdropped
    and (starts_with(a.attname, 'qt_') or starts_with(c.relname, 'queue_tasks_'))
    and not exists (
        select from pg_index x where x.indrelid = c.oid and x.indisprimary and a.attnum = any (x.indkey::smallint[])
    )
order by c.relname, a.attnum
