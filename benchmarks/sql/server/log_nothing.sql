-- log_nothing(database) -> no rows; names, put in by psycopg
-- Takes back what log_statements did.
-- Called by  benchmarks.measures.idle
alter database {database} reset log_statement
