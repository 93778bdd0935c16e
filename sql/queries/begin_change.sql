-- begin_change(ticket, user_id, user_name, address, action, target) -> 0 or 1 row: id bigint
-- Write down that somebody is about to change something. No row: the form of this ticket was sent before.
-- Called by  dashboard.changes.begin
-- Locks      waits for a transaction that has just sent the same form
-- Index      queue_tasks_changes_ticket_idx
insert into queue_tasks_changes (ticket, user_id, user_name, address, action, target)
values (
    %(ticket)s::uuid, %(user_id)s::text, %(user_name)s::text, %(address)s::text, %(action)s::text, %(target)s::text
)
on conflict (ticket) do nothing
returning id
