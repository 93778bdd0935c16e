-- reports_fill_visits(rows integer) -> the number of rows written, 0 when there were visits of before today already
-- Make up visits: spread over the 365 days before today, more in the evening, the same on every machine.
-- Called by  sql/fill_visits.sql
-- Writes     reports_visit
-- Locks      reports_visit against other writers, until commit: of two that come at once the second finds it filled
create or replace function reports_fill_visits(p_rows integer) returns integer
    language plpgsql
as $body$
declare
    v_pages constant text[] := array[
        '/', '/', '/', '/photos', '/photos', '/photos/popular', '/photos/new', '/upload', '/reports', '/about', '/help', '/search'
    ];
begin
    lock table reports_visit in share row exclusive mode;
    -- Visits of today may be real; those of before are made up, or a year of real ones.
    if exists (select from reports_visit where visited_at < current_date) then
        return 0;
    end if;
    insert into reports_visit (visited_at, path, visitor, duration_ms)
    select
        -- The place of the visit in the year, moved by up to six hours towards the evening.
        current_date - make_interval(days => 365)
            + make_interval(secs => (n.n - 1) * (365.0 * 86400 / p_rows))
            + (time '20:00' - (make_interval(secs => (n.n - 1) * (365.0 * 86400 / p_rows))::time)) * 0.25,
        v_pages[1 + abs(hashint4(n.n) % cardinality(v_pages))],
        abs(hashint4(n.n * 7) % 40000),
        20 + abs(hashint4(n.n * 13) % 400) + case when n.n % 97 = 0 then 1500 else 0 end
    from generate_series(1, p_rows) n (n);
    analyze reports_visit;
    return p_rows;
end
$body$;

comment on function reports_fill_visits(integer) is 'Make up visits for the report to read, unless there are some.';
