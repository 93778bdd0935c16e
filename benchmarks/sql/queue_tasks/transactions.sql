-- transactions() -> one row: transactions of this database so far, committed and rolled back
-- Called by  benchmarks.measures.soak
select xact_commit + xact_rollback from pg_stat_database where datname = current_database()
