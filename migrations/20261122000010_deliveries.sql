-- What outlets beside Slack are told: Microsoft Teams and webhooks. A table of its own, because an older version that
-- runs beside this one takes whatever stands in `announcements` for a message to Slack.

-- The outbox of all outlets. Written by outlet/queue.rs.
create table deliveries (
    id           uuid primary key,          -- the event's own: the same however often it is sent
    -- The order in which they were written; an outlet hears of one incident in it.
    number       bigint generated always as identity,
    outlet       text not null,             -- its name in the settings
    event        text not null,             -- incident.opened, investigation.finished, …
    incident_id  uuid not null references incidents (id) on delete cascade,
    dedup_key    text not null,             -- `opened:<incident>`, `finished:<investigation>`, `resolved:<incident>:<n>`
    body         text not null,             -- as it is sent, byte for byte
    state        text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts     integer not null default 0, -- counts claims; the fence of every later statement
    next_at      timestamptz not null default now(), -- when it is due, or until when it is claimed
    error        text,                      -- of the last try, and the reason of `dead`
    created_at   timestamptz not null default now(),
    ended_at     timestamptz,
    constraint deliveries_once unique (outlet, dedup_key)
);
alter table deliveries set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- The next that is due of one outlet.
create index deliveries_due on deliveries (outlet, next_at, number) where state = 'waiting';
-- Whether anything of the incident comes first, and whether the outlet was told of it.
create index deliveries_incident on deliveries (incident_id, outlet, number);
-- What is forgotten, and what went wrong lately.
create index deliveries_ended on deliveries (ended_at) where state <> 'waiting';

-- When an outlet may be spoken to again, and why not sooner. Shared by all replicas. Written by outlet/queue.rs.
create table delivery_outlets (
    outlet       text primary key,
    free_at      timestamptz not null,
    fault        text,                      -- why it is held; null: nothing, or only its pace
    fault_since  timestamptz,
    faults       integer not null default 0 -- since the last delivery that went well
);
