-- owner: what the role that runs `manage.py migrate` keeps for itself
-- The owner is whoever made the tables; it needs no role of ours. Here everybody else loses what Postgres gives to all
-- (public): to run functions. What the other files give is all there is then. Can be run again and again.
-- Called by  manage.py queue roles
do $body$
declare
    v_schema constant name := (
        select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'procrastinate_jobs'::regclass
    );
    v_name text;
begin
    for v_name in
        select format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname)
        from pg_class c
        where c.relnamespace = v_schema::regnamespace
            and c.relkind in ('r', 'p', 'S')
            and (starts_with(c.relname, 'queue_tasks_') or starts_with(c.relname, 'procrastinate_'))
        union all
        -- procrastinate's functions are left to all: they do nothing for who has no right to its tables.
        select format('function %s', p.oid::regprocedure)
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace and starts_with(p.proname, 'queue_tasks_')
    loop
        execute format('revoke all on %s from public', v_name);
    end loop;
end
$body$;
