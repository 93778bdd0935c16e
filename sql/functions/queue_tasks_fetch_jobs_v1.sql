-- queue_tasks_fetch_jobs_v1(worker_id bigint, queues text[], max_jobs integer) -> 0..max_jobs rows
-- Take ready jobs for one worker, highest priority first, then oldest, and mark them running under a new lease. Fewer
-- than max_jobs does not mean that none is left: jobs behind a lock, or held by another fetch, may be. None does.
-- queues: names; null means every queue. No attempt is spent: that is for the run that starts.
-- Nothing is taken of a paused queue, and of one with a limit no more than it lets run, over all workers. limited: whether
-- the job's queue has one, so that its end lets another start.
-- Called by  queries/fetch_jobs.sql
-- Writes     procrastinate_jobs (status, worker_id, qt_lease, qt_started_at, qt_attempted_at)
-- Locks      the returned rows, for update skip locked, the worker, for key share skip locked, and the rows of queues that
--            have a limit, room and ready jobs, for no key update, until commit
-- Index      procrastinate_jobs_qt_ready_idx, procrastinate_jobs_qt_ready_locked_idx, procrastinate_jobs_qt_locked_idx,
--            procrastinate_jobs_lock_idx_v1, procrastinate_jobs_priority_idx_v1 (of more than eight queues)
-- Raises     QT001 max_jobs < 1; QT002 the worker is not registered; 23505 another fetch took a job of the same lock: again
--
-- The planner is held to the indexes above: a queue is empty one moment and long the next, and a plan made from the
-- statistics of the empty one would read the whole queue. So other ways to scan are shut, and ">= and <=" stands for "=":
-- then the order wanted begins with the column, and only our index has it. With "=" the planner knows that the column is
-- constant, and upstream's index on (priority, id) would do as well, through all other queues' jobs. Sorting is shut, or
-- a plan made for any limit, of which the planner expects little, reads and sorts the whole queue by upstream's index on
-- its name. It is open for the one statement that must sort what it reads: before Postgres 18 the penalty would drown every
-- other difference between its plans.
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
    v_queues text[];
    v_locked_queues text[];
    v_ids bigint[];
    v_locked bigint[];
    v_candidates bigint[];
    v_window integer;
    v_seen integer;
    v_begun timestamp with time zone;
    v_took interval;
    v_read bigint;
    v_priority integer;
    v_first bigint;
    v_newest bigint;
    v_place jsonb := nullif(current_setting('queue_tasks.place', true), '');
    v_shut text[];
    v_limited text[];
    v_open text[];
    v_rooms bigint[];
    v_capped bigint[];
    v_counted boolean;
begin
    if p_max_jobs is null or p_max_jobs < 1 then
        raise exception 'queue_tasks_fetch_jobs_v1: max_jobs is %, expected 1 or more', coalesce(p_max_jobs::text, 'null') using errcode = 'QT001';
    end if;
    perform from procrastinate_workers w where w.id = p_worker_id;
    if not found then
        raise exception 'queue_tasks_fetch_jobs_v1: worker % is not registered', p_worker_id
            using errcode = 'QT002', hint = 'It was taken for dead and removed: register anew.';
    end if;

    -- The gates in front of queues. Few have a row there, and fewer are shut.
    select
        coalesce(array_agg(g.queue_name) filter (where g.paused), '{}'),
        coalesce(array_agg(g.queue_name) filter (where not g.paused and g.limited), '{}')
    into v_shut, v_limited
    from (
        select q.queue_name, coalesce(q.paused_until > clock_timestamp(), false) as paused, q.concurrency is not null as limited
        from queue_tasks_queues q
        where p_queues is null or q.queue_name = any (p_queues)
    ) g;

    -- From the place that a costly look found. Newer jobs of a higher priority first.
    if v_place is not null and (v_place ->> 'until')::timestamp with time zone > clock_timestamp()
        and (p_queues is null or p_queues = array[v_place ->> 'queue'])
        and v_place ->> 'queue' <> all (v_shut || v_limited)
    then
        v_queues := array[v_place ->> 'queue'];
        v_priority := (v_place ->> 'priority')::integer;
        v_first := (v_place ->> 'id')::bigint;
        v_newest := (v_place ->> 'newest')::bigint;
        select array_agg(t.id) into v_ids
        from (
            select j.id
            from procrastinate_jobs j
            where j.queue_name >= v_queues[1] and j.queue_name <= v_queues[1] and j.priority > v_priority and j.id > v_newest
                and j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id
            limit p_max_jobs
            for update skip locked
        ) t;
        v_seen := coalesce(cardinality(v_ids), 0);
        select array_agg(t.id) into v_candidates
        from (
            select j.id
            from procrastinate_jobs j
            where j.queue_name >= v_queues[1] and j.queue_name <= v_queues[1] and j.priority = v_priority and j.id >= v_first
                and j.status = 'todo' and j.scheduled_at is null and j.lock is null
            order by j.queue_name, j.priority desc, j.id
            limit p_max_jobs - v_seen
            for update skip locked
        ) t;
        v_ids := v_ids || v_candidates;
        if cardinality(v_ids) = p_max_jobs then
            v_first := coalesce(v_candidates[cardinality(v_candidates)], v_first);
            perform set_config('queue_tasks.place', jsonb_set(v_place, '{id}', to_jsonb(v_first))::text, false);
        else
            -- The end of what it remembers: look from the beginning.
            v_ids := null;
            v_queues := null;
        end if;
    end if;
    v_begun := clock_timestamp();
    v_read := pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass);

    -- The queues that have ready jobs, without a lock and with one: an index probe for each queue. Those without in the
    -- order of their first jobs: the first n jobs of all are in the first n of them. A paused queue is not looked into.
    -- With more than eight of them the first jobs are first looked for in upstream's index, where the jobs of all queues
    -- stand in one line, but with those that wait for a time or a lock between them: so not far, and the long way if too
    -- few of what stands there may start, or if some belong to a queue with a limit, which must be held to be counted.
    if v_ids is null then
        v_seen := cardinality(p_queues);
        foreach v_window in array array[9, null] loop
            if p_queues is null then
                with recursive ready (queue_name, priority, id) as (
                    (select j.queue_name, j.priority, j.id from procrastinate_jobs j
                     where j.status = 'todo' and j.scheduled_at is null and j.lock is null
                     order by j.queue_name, j.priority desc, j.id limit 1)
                    union all
                    select n.queue_name, n.priority, n.id
                    from ready r
                    cross join lateral (
                        select j.queue_name, j.priority, j.id from procrastinate_jobs j
                        where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                        order by j.queue_name, j.priority desc, j.id limit 1
                    ) n
                )
                select array_agg(r.queue_name::text order by r.priority desc, r.id) filter (where r.queue_name <> all (v_shut)), count(*)
                into v_queues, v_seen
                from (select r.queue_name, r.priority, r.id from ready r limit v_window) r;
            elsif v_window is null or v_seen < v_window then
                select array_agg(q.name order by f.priority desc, f.id) into v_queues
                from (select distinct u.name from unnest(p_queues) u (name)) q
                cross join lateral (
                    select j.priority, j.id from procrastinate_jobs j
                    where j.queue_name >= q.name and j.queue_name <= q.name
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                    order by j.queue_name, j.priority desc, j.id limit 1
                ) f
                where q.name <> all (v_shut);
            end if;
            exit when v_window is null or v_seen < v_window;

            select array_agg(c.id), bool_or(c.queue_name = any (v_limited)) into v_candidates, v_counted
            from (
                select w.id, w.queue_name
                from (
                    select j.id, j.queue_name, j.lock, j.scheduled_at
                    from procrastinate_jobs j
                    where j.status = 'todo'
                    order by j.priority desc, j.id
                    limit 100 + 4 * p_max_jobs
                ) w
                where w.scheduled_at is null and w.queue_name <> all (v_shut) and (p_queues is null or w.queue_name = any (p_queues))
                    and (w.lock is null or (
                        not exists (select from procrastinate_jobs o where o.lock = w.lock and o.status = 'doing')
                        and w.id = (
                            select o.id
                            from procrastinate_jobs o
                            where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                            order by o.lock, o.priority desc, o.id
                            limit 1
                        )
                    ))
                limit 2 * p_max_jobs
            ) c;
            continue when v_counted or coalesce(cardinality(v_candidates), 0) < p_max_jobs;
            perform set_config('enable_sort', 'on', true);
            select array_agg(t.id) into v_ids
            from (
                select j.id
                from procrastinate_jobs j
                where j.id = any (v_candidates) and j.status is not distinct from 'todo' and j.scheduled_at is null
                order by j.priority desc, j.id
                limit p_max_jobs
                for update skip locked
            ) t;
            perform set_config('enable_sort', 'off', true);
            exit when cardinality(v_ids) = p_max_jobs;
            -- Others hold some of those: ours are found again by the long way.
            v_ids := null;
        end loop;
    end if;

    if v_ids is not null then
        v_queues := null;
    elsif p_queues is null then
        with recursive ready (queue_name) as (
            (select j.queue_name from procrastinate_jobs j
             where j.status = 'todo' and j.scheduled_at is null and j.lock is not null
             order by j.queue_name, j.priority desc, j.id limit 1)
            union all
            select (
                select j.queue_name from procrastinate_jobs j
                where j.queue_name > r.queue_name and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            )
            from ready r
            where r.queue_name is not null
        )
        select array_agg(r.queue_name::text) into v_locked_queues
        from ready r
        where r.queue_name is not null and r.queue_name <> all (v_shut);
    else
        select
            array_agg(distinct q.name) filter (where (
                select j.id from procrastinate_jobs j
                where j.queue_name >= q.name and j.queue_name <= q.name
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                order by j.queue_name, j.priority desc, j.id limit 1
            ) is not null)
        into v_locked_queues
        from unnest(p_queues) q (name)
        where q.name <> all (v_shut);
    end if;

    -- Of the queues with a limit go on those that have room; their jobs without a lock are not taken by their lines, but
    -- counted out below.
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

    -- The jobs with a lock that may start: the head of its lock's line, whatever that line's queues, while nobody holds
    -- the lock. Usually there are none at all. Looked for among the first of each queue; if all of those wait behind a
    -- few busy locks, at the head of each lock; and only if the locks are many too, among all.
    if v_locked_queues is not null then
        foreach v_window in array array[greatest(100, 2 * p_max_jobs), null] loop
            with busy as materialized (
                select j.lock from procrastinate_jobs j where j.status = 'doing' and j.lock is not null
            )
            select array_agg(c.id) into v_locked
            from unnest(v_locked_queues) q (name)
            cross join lateral (
                select w.id
                from (
                    select j.id, j.lock, j.priority, j.queue_name
                    from procrastinate_jobs j
                    where j.queue_name >= q.name and j.queue_name <= q.name
                        and j.status = 'todo' and j.scheduled_at is null and j.lock is not null
                    order by j.queue_name, j.priority desc, j.id
                    limit v_window
                ) w
                where w.lock not in (select b.lock from busy b)
                    and w.id = (
                        select o.id
                        from procrastinate_jobs o
                        where o.lock >= w.lock and o.lock <= w.lock and o.status = 'todo' and o.scheduled_at is null
                        order by o.lock, o.priority desc, o.id
                        limit 1
                    )
                order by w.queue_name, w.priority desc, w.id
                limit p_max_jobs
            ) c;
            exit when v_locked is not null or v_window is null;

            with recursive line (lock) as (
                (select j.lock from procrastinate_jobs j
                 where j.lock is not null and j.status = 'todo' and j.scheduled_at is null
                 order by j.lock, j.priority desc, j.id limit 1)
                union all
                select (
                    select j.lock from procrastinate_jobs j
                    where j.lock > l.lock and j.status = 'todo' and j.scheduled_at is null
                    order by j.lock, j.priority desc, j.id limit 1
                )
                from line l
                where l.lock is not null
            ),
            visited as materialized (
                select l.lock from line l where l.lock is not null limit 1000
            ),
            head as materialized (
                select c.id, c.lock
                from visited v
                cross join lateral (
                    select j.id, j.queue_name, j.lock
                    from procrastinate_jobs j
                    where j.lock >= v.lock and j.lock <= v.lock and j.status = 'todo' and j.scheduled_at is null
                    order by j.lock, j.priority desc, j.id
                    limit 1
                ) c
                where c.queue_name = any (v_locked_queues)
            )
            select
                array_agg(h.id) filter (where not exists (
                    select from procrastinate_jobs o where o.lock = h.lock and o.status = 'doing'
                )),
                (select count(*) from visited)
            into v_locked, v_seen
            from head h;
            exit when v_locked is not null or v_seen < 1000;
        end loop;
    end if;

    -- Of each queue with a limit as many as it has room for, the first of those with a lock and of those without. Held
    -- before they are counted: one that somebody else holds must not take the place of one that can be had.
    if v_open is not null then
        v_capped := array(select j.id from procrastinate_jobs j where j.id = any (v_locked) and j.queue_name <> all (v_open));
        for v_seen in 1..cardinality(v_open) loop
            v_rooms[v_seen] := least(v_rooms[v_seen], p_max_jobs);
            select array_agg(t.id) into v_candidates
            from (
                select j.id
                from procrastinate_jobs j
                where j.queue_name >= v_open[v_seen] and j.queue_name <= v_open[v_seen]
                    and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                order by j.queue_name, j.priority desc, j.id
                limit v_rooms[v_seen]
                for update skip locked
            ) t;
            perform set_config('enable_sort', 'on', true);
            with held as materialized (
                select j.id
                from procrastinate_jobs j
                where j.id = any (v_locked) and j.queue_name is not distinct from v_open[v_seen]
                    and j.status is not distinct from 'todo' and j.scheduled_at is null
                for update skip locked
            )
            select v_capped || array_agg(t.id) into v_capped
            from (
                select j.id
                from procrastinate_jobs j
                where j.id = any (v_candidates || array(select h.id from held h))
                order by j.priority desc, j.id
                limit v_rooms[v_seen]
            ) t;
            perform set_config('enable_sort', 'off', true);
        end loop;
        v_locked := nullif(v_capped, '{}');
    end if;

    if v_ids is not null then
        null;
    elsif v_locked is null and cardinality(v_queues) = 1 then
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
        if v_locked_queues is null and v_ids is not null and v_read > 300 + 8 * p_max_jobs then
            v_took := clock_timestamp() - v_begun;
            perform set_config('queue_tasks.place', jsonb_build_object(
                'until', clock_timestamp() + least(50 * v_took, interval '2 seconds'),
                'queue', v_queues[1],
                'priority', (select j.priority from procrastinate_jobs j where j.id = v_ids[1]),
                'id', v_ids[1],
                'newest', (select s.last_value from procrastinate_jobs_id_seq s)
            )::text, false);
        end if;
    elsif v_locked is not null or cardinality(v_queues) > 1 then
        -- Several lines to merge by priority. Only rows that are taken may be locked, so the candidates are read first;
        -- when other fetches hold some of those, look further down the lines instead of going to sleep beside ready jobs.
        v_window := p_max_jobs;
        loop
            select array_agg(f.id), count(*) into v_candidates, v_seen
            from (
                select c.id
                from (
                    select line.id, line.priority
                    from unnest(v_queues[:v_window]) q (name)
                    cross join lateral (
                        select j.id, j.priority
                        from procrastinate_jobs j
                        where j.queue_name >= q.name and j.queue_name <= q.name
                            and j.status = 'todo' and j.scheduled_at is null and j.lock is null
                        order by j.queue_name, j.priority desc, j.id
                        limit v_window
                    ) line
                    union all
                    select j.id, j.priority from procrastinate_jobs j where j.id = any (v_locked)
                ) c
                order by c.priority desc, c.id
                limit v_window
            ) f;
            -- "is not distinct from": an index on the jobs that are todo must not be walked for the sake of a few ids.
            perform set_config('enable_sort', 'on', true);
            select array_agg(t.id) into v_ids
            from (
                select j.id
                from procrastinate_jobs j
                where j.id = any (v_candidates) and j.status is not distinct from 'todo' and j.scheduled_at is null
                order by j.priority desc, j.id
                limit p_max_jobs
                for update skip locked
            ) t;
            perform set_config('enable_sort', 'off', true);
            -- Others may have emptied those lines since they were put in order: then there may be more in the rest.
            exit when cardinality(v_ids) = p_max_jobs or v_window > 50000
                or (v_seen < v_window and coalesce(cardinality(v_queues), 0) <= v_window);
            v_window := v_window * 4;
        end loop;
    end if;

    if v_ids is null then
        return;
    end if;
    -- Held until commit, and without waiting: who deletes the worker at this moment may be about to wait for these jobs.
    perform from procrastinate_workers w where w.id = p_worker_id for key share skip locked;
    if not found then
        raise exception 'queue_tasks_fetch_jobs_v1: worker % is not registered', p_worker_id
            using errcode = 'QT002', hint = 'It was taken for dead and removed: register anew.';
    end if;
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
        where j.id = any (v_ids)
        returning
            j.id, j.qt_lease, j.queue_name::text, j.task_name::text, j.priority, j.lock, j.queueing_lock, j.args::text,
            j.attempts, j.qt_crashes,
            case when j.qt_enqueued_at between '0002-01-01Z' and '9998-01-01Z' then j.qt_enqueued_at end,
            j.qt_started_at, j.qt_attempted_at, j.qt_ephemeral, j.qt_errors::text, j.qt_meta::text,
            j.queue_name = any (v_limited)
    )
    select * from taken t order by t.priority desc, t.id;
end
$body$;

comment on function queue_tasks_fetch_jobs_v1(bigint, text[], integer) is 'Take up to max_jobs ready jobs for one worker, highest priority first, then oldest.';
