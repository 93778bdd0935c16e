-- queue_tasks_fetch_jobs_v1(worker_id bigint, queues text[], max_jobs integer) -> 0..max_jobs rows
-- Take ready jobs for one worker, highest priority first, then oldest, and mark them running under a new lease. Fewer
-- than max_jobs does not mean that none is left: jobs behind a lock, or held by another fetch, may be. None does.
-- queues: names; null means every queue. No attempt is spent: that is for the run that starts.
-- Nothing is taken of a paused queue, and of one with a limit no more than it lets run, over all workers. limited: whether
-- the job's queue has one, so that its end lets another start.
-- Called by  queries/fetch_jobs.sql
-- Writes     procrastinate_jobs (status, worker_id, qt_lease, qt_started_at, qt_attempted_at), procrastinate_events
-- Locks      the returned rows, for update skip locked, the worker, for key share skip locked, and the rows of queues that
--            have a limit, room and ready jobs, for no key update, until commit
-- Index      procrastinate_jobs_qt_ready_idx, and those that its parts name
-- Raises     QT001 max_jobs < 1; QT002 the worker is not registered; 23505 another fetch took a job of the same lock: again
--
-- Which queues have ready jobs is found first. Where there is one, no job with a lock is ready and no gate is shut, which is the
-- usual case, two statements are all there is: one sees that it is so, the other takes and starts its first jobs. To prepare a
-- statement's execution is most of its cost. Everything else has a function of its own; one that is called as a value costs nothing.
--
-- The planner is held to our indexes, here and in the parts, which run under these settings: a queue is empty one
-- moment and long the next, and a plan made from the statistics of the empty one would read the whole queue. So other
-- ways to scan are shut, and ">= and <=" stands for "=": then the order wanted begins with the column, and only our
-- index has it. With "=" the planner knows that the column is constant, and upstream's index on (priority, id) would
-- do as well, through all other queues' jobs. Sorting is shut, or a plan made for any limit, of which the planner
-- expects little, reads and sorts the whole queue by upstream's index on its name. It is open for the one part that
-- must sort what it reads: before Postgres 18 the penalty would drown every other difference between its plans.
--
-- Plans are for any values, and kept. Postgres would take a plan for the ids at hand to be worth the planning, as long as they
-- are few, and make one at each fetch, for the triggers too: a sixth of what a fetch of one job costs.
--
-- While somebody holds an old snapshot, the index entries of jobs long done cannot be taken away, and each look walks past
-- all of them. A look that read many more rows than it took is therefore remembered by the session, for fifty times as long
-- as it took and at most two seconds: the next ones begin where it found the first job. What came before that place
-- meanwhile (a retry, a job promoted, one of another queue or with a lock) is found by the next look from the beginning.
create or replace function queue_tasks_fetch_jobs_v1(p_worker_id bigint, p_queues text[], p_max_jobs integer)
    returns table (
        id bigint,
        lease bigint,
        queue_name text,
        task_name text,
        priority integer,
        lock text,
        queueing_lock text,
        args text,
        attempts integer,
        crashes integer,
        enqueued_at timestamp with time zone,
        started_at timestamp with time zone,
        attempted_at timestamp with time zone,
        ephemeral boolean,
        errors text,
        meta text,
        limited boolean
    )
    language plpgsql
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_bitmapscan = off
    set enable_sort = off
    set enable_incremental_sort = off
    set jit = off
    set plan_cache_mode = force_generic_plan
as $body$
#variable_conflict use_column
declare
    c_many constant integer := 9;
    c_costly constant integer := 150;  -- blocks of the table that one look has read
    v_queue text;
    v_priority integer;
    v_first bigint;
    v_several boolean;
    v_locked text;
    v_gated boolean;
    v_shut text[];
    v_limited text[];
    v_queues text[];
    v_locked_queues text[];
    v_open text[];
    v_rooms bigint[];
    v_heads bigint[];
    v_ids bigint[];
    v_read bigint;
    v_setting text;
begin
    if p_max_jobs is null or p_max_jobs < 1 then
        raise exception 'queue_tasks_fetch_jobs_v1: max_jobs is %, expected 1 or more', coalesce(p_max_jobs::text, 'null') using errcode = 'QT001';
    end if;

    if current_setting('queue_tasks.place', true) <> '' then
        v_ids := queue_tasks_take_from_place_v1(
            p_queues,
            array(select q.queue_name from queue_tasks_queues q where q.paused_until > clock_timestamp() or q.concurrency is not null),
            p_max_jobs
        );
    end if;
    v_read := pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass);
    if v_ids is null and p_queues is null then
        -- The first queue that has ready jobs, its first job, and whether there is anything else.
        select
            f.queue_name,
            f.priority,
            f.id,
            (
                select j.id from procrastinate_jobs j
                where j.queue_name > f.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null,
            (
                select j.queue_name from procrastinate_jobs j
                where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ),
            exists (select from queue_tasks_queues q where q.paused_until > clock_timestamp() or q.concurrency is not null)
        into v_queue, v_priority, v_first, v_several, v_locked, v_gated
        from (select) o
        left join lateral (
            select j.queue_name, j.priority, j.id from procrastinate_jobs j
            where j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id limit 1
        ) f on true;
    end if;

    -- More is to be seen; or it was costly to look, so that the place may be worth remembering.
    if v_ids is null
        and (v_several or v_locked is not null or v_gated or pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read > c_costly) is not false
    then
        -- The gates in front of queues. Few have a row there, and fewer are shut. Looked at again when the jobs are taken.
        if v_gated is not false then
            select
                coalesce(array_agg(g.queue_name) filter (where g.paused), '{}'),
                coalesce(array_agg(g.queue_name) filter (where not g.paused and g.limited), '{}')
            into v_shut, v_limited
            from (
                select q.queue_name, coalesce(q.paused_until > clock_timestamp(), false) as paused, q.concurrency is not null as limited
                from queue_tasks_queues q
                where p_queues is null or q.queue_name = any (p_queues)
            ) g;
        else
            v_shut := '{}';
            v_limited := '{}';
        end if;

        -- With many queues the first jobs are first looked for where those of all queues stand in one line. What is paused is
        -- left out of the queues below.
        if not v_several then
            v_queues := array_remove(array[v_queue], null);
        elsif (cardinality(p_queues) >= c_many) is not true then
            v_queues := queue_tasks_ready_queues_v1(p_queues, c_many, v_queue, v_priority, v_first);
        end if;
        if cardinality(p_queues) >= c_many or cardinality(v_queues) = c_many then
            v_ids := queue_tasks_take_first_v1(p_queues, v_shut, v_limited, p_max_jobs);
            if v_ids is null then
                v_queues := queue_tasks_ready_queues_v1(p_queues, null, v_queue, v_priority, v_first);
            end if;
        end if;

        v_queue := null;
        if v_ids is null then
            -- Usually no job with a lock is ready.
            if p_queues is not null or v_locked is not null then
                v_locked_queues := queue_tasks_ready_locked_queues_v1(p_queues, v_locked);
            end if;
            if v_shut <> '{}' then
                v_queues := array(
                    select q.name from unnest(v_queues) with ordinality q (name, place) where q.name <> all (v_shut) order by q.place
                );
                v_locked_queues := nullif(array(select q.name from unnest(v_locked_queues) q (name) where q.name <> all (v_shut)), '{}');
            end if;

            -- Of the queues with a limit go on those that have room; their jobs without a lock are not taken by their lines,
            -- but counted out below.
            if v_limited && (v_queues || v_locked_queues) then
                select array_agg(h.queue_name), array_agg(h.room) into v_open, v_rooms
                from queue_tasks_hold_limits_v1(array(
                    select l.name from unnest(v_limited) l (name) where l.name = any (v_queues || v_locked_queues)
                )) h;
                v_queues := array(
                    select q.name from unnest(v_queues) with ordinality q (name, place) where q.name <> all (v_limited) order by q.place
                );
                v_locked_queues := nullif(array(
                    select q.name
                    from unnest(v_locked_queues) q (name)
                    where q.name <> all (v_limited) or q.name = any (v_open)
                ), '{}');
            end if;

            if v_locked_queues is not null then
                v_heads := queue_tasks_free_heads_v1(v_locked_queues, p_max_jobs);
            end if;
            if v_open is not null then
                v_heads := queue_tasks_take_limited_v1(v_open, v_rooms, v_heads, p_max_jobs);
            end if;

            if v_heads is not null or cardinality(v_queues) > 1 then
                v_ids := queue_tasks_take_merged_v1(v_queues, v_heads, p_max_jobs);
            elsif cardinality(v_queues) = 1 and pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read <= c_costly then
                v_queue := v_queues[1];
            elsif cardinality(v_queues) = 1 then
                select array_agg(t.id) into v_ids
                from (
                    select j.id
                    from procrastinate_jobs j
                    where j.queue_name >= v_queues[1] and j.queue_name <= v_queues[1]
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                    order by j.queue_name, j.priority desc, j.id
                    limit p_max_jobs
                    for update skip locked
                ) t;
                v_read := pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass) - v_read;
                if v_locked_queues is null and v_ids is not null and v_read > 2 * c_costly + 8 * p_max_jobs then
                    perform queue_tasks_note_place_v1(v_queues[1], v_ids[1], statement_timestamp());
                end if;
            end if;
        end if;
    end if;

    if v_ids is null and v_queue is null then
        perform from procrastinate_workers w where w.id = p_worker_id;
    else
        -- What follows from it is written here: the trigger would compare all rows to find that they were started, which took
        -- a quarter of the time of a fetch of one job. The setting would last until the end of the transaction.
        v_setting := set_config('queue_tasks.fetching', 'on', true);
        return query
        with taken as (
            update procrastinate_jobs j
            set status = 'doing',
                worker_id = p_worker_id,
                -- Whatever a stranger has written into a row must fail that job, not this statement: the largest number
                -- there is begins anew, and a time that no program can read is none.
                qt_lease = j.qt_lease % 9223372036854775807 + 1,
                qt_started_at = case
                    when j.qt_started_at between '0002-01-01Z' and '9998-01-01Z' then j.qt_started_at
                    else statement_timestamp()
                end,
                qt_attempted_at = statement_timestamp()
            where j.id = any (coalesce(v_ids, array(
                    select f.id
                    from procrastinate_jobs f
                    where f.queue_name >= v_queue and f.queue_name <= v_queue
                        and f.status = 'todo' and f.scheduled_at is null and f.lock is null
                    order by f.queue_name, f.priority desc, f.id
                    limit p_max_jobs
                    for update skip locked
                )))
                -- Held until commit; and without waiting: who deletes the worker at this moment may be about to wait for these jobs.
                and exists (select from procrastinate_workers w where w.id = p_worker_id for key share skip locked)
                -- Once more: a queue may have been paused since its jobs were looked for, or been given a limit, and what was
                -- enqueued after that is not to run.
                and j.queue_name <> all (array(
                    select q.queue_name
                    from queue_tasks_queues q
                    where q.paused_until > clock_timestamp() or (q.concurrency is not null and (q.queue_name = any (v_limited)) is not true)
                ))
            returning
                j.id, j.qt_lease, j.queue_name::text, j.task_name::text, j.priority, j.lock, j.queueing_lock, j.args::text,
                j.attempts, j.qt_crashes,
                case when j.qt_enqueued_at between '0002-01-01Z' and '9998-01-01Z' then j.qt_enqueued_at end,
                j.qt_started_at, j.qt_attempted_at, j.qt_ephemeral, j.qt_errors::text, j.qt_meta::text,
                (j.queue_name = any (v_limited)) is true
        ),
        noted as (
            insert into procrastinate_events (job_id, type) select t.id, 'started' from taken t where not t.qt_ephemeral
        )
        select * from taken t order by t.priority desc, t.id;
        v_setting := set_config('queue_tasks.fetching', 'off', true);
        if found then
            return;
        end if;
        perform from procrastinate_workers w where w.id = p_worker_id for key share skip locked;
    end if;
    if not found then
        raise exception 'queue_tasks_fetch_jobs_v1: worker % is not registered', p_worker_id
            using errcode = 'QT002', hint = 'It was taken for dead and removed: register anew.';
    end if;
end
$body$;

comment on function queue_tasks_fetch_jobs_v1(bigint, text[], integer) is 'Take up to max_jobs ready jobs for one worker, highest priority first, then oldest.';
