-- record_figures(figures) -> no rows; figures: array of {queue_name, succeeded, failed, retried, other, waited, ran}
-- Add what a worker did to the minute, the quarter and the hour it is now; a queue_name of null is about all queues.
-- Buckets of another number are of a release that counts otherwise: they are replaced, not mixed.
-- Called by  store.FigureStore.record_figures
-- Locks      the rows it adds to, in the order of the index, until commit
-- Index      queue_tasks_figures_place_idx
insert into queue_tasks_figures as f (
    grain, begins_at, queue_name, succeeded, failed, retried, other, waited, ran
)
select
    g.grain,
    date_bin(make_interval(secs => g.grain), statement_timestamp(), timestamp with time zone 'epoch') as begins_at,
    n.queue_name,
    n.succeeded,
    n.failed,
    n.retried,
    n.other,
    n.waited,
    n.ran
from jsonb_to_recordset(%(figures)s::jsonb) n (
    queue_name text, succeeded bigint, failed bigint, retried bigint, other bigint, waited bigint[], ran bigint[]
)
cross join unnest(array[60, 900, 3600]) g (grain)
order by g.grain, n.queue_name
on conflict (grain, queue_name, begins_at) do update
set
    succeeded = f.succeeded + excluded.succeeded,
    failed = f.failed + excluded.failed,
    retried = f.retried + excluded.retried,
    other = f.other + excluded.other,
    waited = case
        when cardinality(f.waited) <> cardinality(excluded.waited) then excluded.waited
        else array(select b.old + b.new from unnest(f.waited, excluded.waited) with ordinality b (old, new, place) order by b.place)
    end,
    ran = case
        when cardinality(f.ran) <> cardinality(excluded.ran) then excluded.ran
        else array(select b.old + b.new from unnest(f.ran, excluded.ran) with ordinality b (old, new, place) order by b.place)
    end
