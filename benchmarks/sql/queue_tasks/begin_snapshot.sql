-- begin_snapshot() -> no rows
-- Called by  benchmarks.measures.snapshot
begin isolation level repeatable read, read only
