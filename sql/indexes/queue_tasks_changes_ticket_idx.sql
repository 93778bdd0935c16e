-- queue_tasks_changes_ticket_idx: a form sent twice changes something once
-- Called by  queries/begin_change.sql
create unique index if not exists queue_tasks_changes_ticket_idx on queue_tasks_changes using btree (ticket);
