-- pages(count integer) -> no rows
-- The table of a project, for the task that uses the ORM.
-- Called by  benchmarks.measures.sync
insert into benchmarks_page (id, views)
select n, n from generate_series(1, %(count)s::integer) n
on conflict (id) do nothing
