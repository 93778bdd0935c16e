-- read_figures(grain, slots, queue_name) -> `slots` rows, oldest first: as figures.Slot; where nothing was done, zeros
-- What was done in each of the latest stretches of `grain` seconds, the present one last; queue_name null: in all queues.
-- Called by  figures.read_figures
-- Index      queue_tasks_figures_place_idx
select
    s.begins_at,
    coalesce(f.succeeded, 0) as succeeded,
    coalesce(f.failed, 0) as failed,
    coalesce(f.retried, 0) as retried,
    coalesce(f.other, 0) as other,
    coalesce(f.waited, '{}') as waited,
    coalesce(f.ran, '{}') as ran
from (
    select
        date_bin(make_interval(secs => %(grain)s::integer), statement_timestamp(), timestamp with time zone 'epoch')
            - n * make_interval(secs => %(grain)s::integer) as begins_at
    from generate_series(0, %(slots)s::integer - 1) n
) s
left join lateral (
    select t.succeeded, t.failed, t.retried, t.other, t.waited, t.ran
    from queue_tasks_figures t
    where t.grain = %(grain)s::integer and t.queue_name = %(queue_name)s::text and t.begins_at = s.begins_at
    union all
    select t.succeeded, t.failed, t.retried, t.other, t.waited, t.ran
    from queue_tasks_figures t
    where %(queue_name)s::text is null and t.grain = %(grain)s::integer and t.queue_name is null and t.begins_at = s.begins_at
) f on true
order by s.begins_at
