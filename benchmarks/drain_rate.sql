-- drain_rate() -> jobs bigint, seconds double precision
-- The jobs that succeeded, and the time from the first start to the last end, by the events both sides write.
-- Called by  benchmarks.measure
select
    count(*) filter (where type = 'succeeded') as jobs,
    extract(epoch from max(at) filter (where type = 'succeeded') - min(at) filter (where type = 'started'))::double precision as seconds
from procrastinate_events
