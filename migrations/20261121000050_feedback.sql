-- What people do about investigations: say whether one helped, mute a cause, ask again. Written by feedback/store.rs.

-- Whether a report helped. One row an author: a later word replaces the one before.
create table feedback (
    id                uuid primary key,
    investigation_id  uuid not null references investigations (id) on delete cascade,
    verdict           text not null check (verdict in ('helpful', 'unhelpful')),
    reason            text not null,        -- "" where none was given
    author            text not null,
    via               text not null check (via in ('api', 'slack', 'page')),
    at                timestamptz not null default now(),
    constraint feedback_one_an_author unique (investigation_id, author)
);

-- Causes that are no problem on a workload, for a time: their reports are kept, and not posted.
create table mutes (
    id                uuid primary key,
    workload          text not null,
    cause_id          text not null,
    object            text not null,        -- the object at fault; "": whichever it is
    until             timestamptz not null,
    reason            text not null,
    author            text not null,
    via               text not null check (via in ('api', 'slack', 'page')),
    investigation_id  uuid references investigations (id) on delete set null, -- that it was said about
    created_at        timestamptz not null default now(),
    lifted_at         timestamptz
);
-- Muted again, it is the same mute with another end.
create unique index mutes_one on mutes (workload, cause_id, object) where lifted_at is null;
create index mutes_of_investigation on mutes (investigation_id);

-- Who did what, when and by which way. Rows are added and, after a time, deleted; never changed once committed.
create table audit (
    id                uuid primary key,
    -- What the sender calls this action, with sender and way: a second one with the same name did nothing.
    action_id         text unique,
    actor             text not null,
    via               text not null check (via in ('api', 'slack', 'page')),
    action            text not null,        -- rate, mute, unmute, rerun, investigate
    subject           text not null,        -- what it was done to
    detail            jsonb not null,
    result            jsonb not null default '{}',
    at                timestamptz not null default now()
);
create index audit_at on audit (at desc, id desc);
