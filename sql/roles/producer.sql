-- producer: the role of whoever only enqueues, by Django or by queue_tasks_enqueue_v1, and reads no job, not even its own
-- Makes the role, which cannot log in, or brings it to what this release needs. Grant it to a login.
-- It may say what a new job is, not what became of it; it reads ids and the time of enqueueing, which an insert returns.
-- The history and the wake-up are written by triggers in its name; an event of its own making is refused.
-- Called by  manage.py queue roles --producer-role NAME
do $body$
declare
    v_role constant name := 'queue_tasks_producer';
    v_schema constant name := (
        select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'procrastinate_jobs'::regclass
    );
    v_name text;
begin
    if not exists (select from pg_roles r where r.rolname = v_role) then
        execute format('create role %I nologin', v_role);
    end if;
    execute format('grant usage on schema %I to %I', v_schema, v_role);
    -- Which migrations are applied, for `manage.py check --database`.
    if to_regclass('django_migrations') is not null then
        execute format('grant select on django_migrations to %I', v_role);
    end if;
    for v_name in
        select format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname)
        from pg_class c
        where c.relnamespace = v_schema::regnamespace
            and c.relkind in ('r', 'p', 'S')
            and (starts_with(c.relname, 'queue_tasks_') or starts_with(c.relname, 'procrastinate_'))
        union all
        select format('function %s', p.oid::regprocedure)
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace and starts_with(p.proname, 'queue_tasks_')
    loop
        execute format('revoke all on %s from %I', v_name, v_role);
    end loop;
    execute format(
        'grant insert (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, qt_ephemeral, qt_meta), '
        'select (id, qt_enqueued_at) on %I.procrastinate_jobs to %I',
        v_schema, v_role
    );
    execute format('grant insert (job_id, type, at) on %I.procrastinate_events to %I', v_schema, v_role);
    execute format('grant usage on sequence %I.procrastinate_jobs_id_seq, %1$I.procrastinate_events_id_seq to %2$I', v_schema, v_role);
    execute format('grant select on %I.queue_tasks_listeners to %I', v_schema, v_role);
    for v_name in
        select format('%s', p.oid::regprocedure)
        from pg_proc p
        where p.pronamespace = v_schema::regnamespace
            and p.proname in ('queue_tasks_enqueue_job_v1', 'queue_tasks_enqueue_v1', 'queue_tasks_parked_until_v1', 'queue_tasks_wake_queues_v1')
    loop
        execute format('grant execute on function %s to %I', v_name, v_role);
    end loop;
end
$body$;
