-- bare_table() -> no rows
-- The smallest table a queue could have.
-- Called by  benchmarks.sides.ours
create table if not exists bare (id bigint generated always as identity primary key, args jsonb not null)
