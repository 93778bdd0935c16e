-- worker: the role of a worker's login; all of a worker, and none of the tables that its tasks use
-- Makes the role, which cannot log in, or brings it to what this release needs. Grant it to a login.
-- Called by  manage.py queue roles --worker-role NAME
do $body$
declare
    v_role constant name := 'queue_tasks_worker';
    v_schema constant name := (
        select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'procrastinate_jobs'::regclass
    );
    v_object record;
begin
    if not exists (select from pg_roles r where r.rolname = v_role) then
        execute format('create role %I nologin', v_role);
    end if;
    execute format('grant usage on schema %I to %I', v_schema, v_role);
    -- Which migrations are applied, for `manage.py check --database`.
    if to_regclass('django_migrations') is not null then
        execute format('grant select on django_migrations to %I', v_role);
    end if;
    for v_object in
        select
            format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname) as name,
            case
                -- Who did what on the dashboard is not a worker's to read, nor to write.
                when starts_with(c.relname, 'queue_tasks_changes') then null
                when c.relkind = 'S' then 'usage'
                else 'select, insert, update, delete'
            end as rights
        from pg_class c
        where c.relnamespace = v_schema::regnamespace
            and c.relkind in ('r', 'p', 'S')
            and (starts_with(c.relname, 'queue_tasks_') or starts_with(c.relname, 'procrastinate_'))
        union all
        select format('function %s', p.oid::regprocedure), 'execute'
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace
            and starts_with(p.proname, 'queue_tasks_')
            -- Triggers fire for everybody.
            and p.prorettype <> 'trigger'::regtype
    loop
        execute format('revoke all on %s from %I', v_object.name, v_role);
        if v_object.rights is not null then
            execute format('grant %s on %s to %I', v_object.rights, v_object.name, v_role);
        end if;
    end loop;
end
$body$;
