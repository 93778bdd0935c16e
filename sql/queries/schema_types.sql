-- schema_types() -> name text; upstream's enumerations
-- Called by  schema.status
select t.typname::text
from pg_type t
where t.typtype = 'e'
    and t.typnamespace = (select j.relnamespace from pg_class j where j.oid = to_regclass('procrastinate_jobs'))
    and starts_with(t.typname, 'procrastinate_')
order by t.typname
