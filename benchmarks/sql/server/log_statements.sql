-- log_statements(database) -> no rows; names, put in by psycopg
-- From now on the server's log has a line for each statement of new sessions of this database, prepared ones too.
-- Called by  benchmarks.measures.idle
alter database {database} set log_statement = 'all'
