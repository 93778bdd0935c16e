-- queue_tasks_wake_queue_v1(queue text) -> void
-- Tell workers that this queue has jobs to fetch: one notification for it, one for workers of all queues.
-- Of the workers that sleep, two are named: the first looks at once, the second a little later, should the first be
-- dead, stopped or busy. All hear it; a stock procrastinate worker does not know the names, and looks. When every worker that
-- serves the queue looks by itself, nobody is told: a notification makes all writers of the server commit in a row.
-- The two are the same for all statements of a transaction, so that Postgres folds its notifications. A queue whose
-- channel name would pass Postgres' 63 bytes has no channel of its own: workers of it listen to the one for all.
-- Called by  procrastinate_jobs_qt_inserted; queue_tasks_wake_queues_v1
--
-- Silence is safe because a worker goes to sleep in this order: it says so and commits, notes which transactions hold
-- procrastinate_jobs for writing, goes on looking until each of them has ended, and looks once more. Whoever did not see
-- it asleep here held the table before it looked, and is among those. This takes a snapshot of the present, which the
-- queries of a volatile function have in READ COMMITTED only: in other levels everybody is told.
create or replace function queue_tasks_wake_queue_v1(p_queue text) returns void
    language plpgsql
as $body$
declare
    v_asleep boolean;
    v_payload text := '{"type": "job_inserted", "job_id": 0}';
    v_told boolean;
begin
    if current_setting('transaction_isolation') = 'read committed' then
        -- Null: nobody is known to serve it.
        select bool_or(l.asleep is not false) into v_asleep
        from queue_tasks_listeners l
        where l.queues is null or p_queue = any (l.queues);
        if not v_asleep then
            return;
        end if;
        if v_asleep then
            select coalesce('{"type": "job_inserted", "job_id": 0, "workers": [' || string_agg(n.id::text, ', ') || ']}', v_payload)
            into v_payload
            from (
                select l.worker_id as id
                from queue_tasks_listeners l
                where l.asleep and (l.queues is null or p_queue = any (l.queues))
                order by hashint8extended(l.worker_id, pg_current_xact_id()::text::bigint)
                limit 2
            ) n;
        end if;
    end if;
    -- Assigned, not performed: plpgsql evaluates an expression by itself, and sends a "perform" through the executor.
    if octet_length(p_queue) <= 40 then
        v_told := pg_notify('procrastinate_queue_v1#' || p_queue, v_payload) is null;
    end if;
    v_told := pg_notify('procrastinate_any_queue_v1', v_payload) is null;
end
$body$;

comment on function queue_tasks_wake_queue_v1(text) is 'Tell workers that this queue has jobs to fetch.';
