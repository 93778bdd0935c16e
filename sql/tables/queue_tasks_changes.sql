-- queue_tasks_changes: one row for each thing that somebody did on the dashboard
-- Written in the transaction of the change itself: what was not written here did not happen. Rows are never changed.
-- Called by  the migrations; schema.repair
create table if not exists queue_tasks_changes (id bigint generated always as identity primary key);

alter table queue_tasks_changes
    add column if not exists made_at timestamp with time zone not null default clock_timestamp(),
    add column if not exists ticket uuid not null,
    add column if not exists user_id text not null,
    add column if not exists user_name text not null,
    add column if not exists address text,
    add column if not exists action text not null,
    add column if not exists target text not null,
    add column if not exists job_ids bigint[],
    add column if not exists before jsonb,
    add column if not exists after jsonb;

comment on table queue_tasks_changes is 'One row for each thing that somebody did on the dashboard.';
comment on column queue_tasks_changes.ticket is 'The form that was sent: sent twice, it does nothing the second time.';
comment on column queue_tasks_changes.user_id is 'The user''s primary key, as text.';
comment on column queue_tasks_changes.address is 'Where the request came from.';
comment on column queue_tasks_changes.target is 'What was asked for: job 7, 3 selected jobs, a filter, a schedule''s name.';
comment on column queue_tasks_changes.job_ids is 'The jobs that were changed.';
comment on column queue_tasks_changes.before is 'Object: job id -> its state before; of a schedule, its settings.';
comment on column queue_tasks_changes.after is 'Object: job id -> its state after; of a schedule, its settings.';
