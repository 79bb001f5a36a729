-- The first schema. Each table is written by one module, named in its comment. Times are the database's.

-- Every occurrence of an alert that was accepted. Written by incident/store.rs.
create table alerts (
    id            uuid primary key,
    source        text not null,
    fingerprint   text not null,
    starts_at     timestamptz not null,
    status        text not null check (status in ('firing', 'resolved')),
    name          text not null,
    severity      text not null,
    cluster       text not null,
    body          jsonb not null,           -- the whole alert as `alert::Alert` serialises
    ends_at       timestamptz,
    incident_id   uuid,                     -- null: ignored
    decision      text not null check (decision in ('open', 'attach', 'reopen', 'resolve', 'ignore')),
    reason        text not null,            -- of the decision, in words
    repeats       integer not null default 0,
    received_at   timestamptz not null default now(),
    seen_at       timestamptz not null default now(),
    -- A resend after a lost answer is the same occurrence, however often it comes.
    constraint alerts_occurrence unique (source, fingerprint, starts_at, status)
);
create index alerts_incident on alerts (incident_id);
create index alerts_received on alerts (received_at);

-- Trouble of one workload, from its first alert to its last resolve. Written by incident/store.rs.
create table incidents (
    id             uuid primary key,
    workload       text not null,           -- cluster/namespace/Kind/name
    cluster        text not null,
    namespace      text not null,
    kind           text not null,
    name           text not null,
    state          text not null check (state in ('open', 'resolved')),
    severity       text not null,
    title          text not null,
    alert_names    text[] not null,         -- firing names an investigation covers or will cover
    alerts         integer not null default 0,  -- occurrences attached
    firing         integer not null default 0,  -- of them, how many fire now
    confident      boolean not null default true, -- false: key from labels only, the worker may correct it
    opened_at      timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    investigated_at timestamptz,            -- last time an investigation was queued
    resolved_at    timestamptz
);
-- One open incident a workload, whatever two requests do at the same time.
create unique index incidents_one_open on incidents (workload) where state = 'open';
create index incidents_workload on incidents (workload, opened_at desc);
create index incidents_opened on incidents (opened_at desc);
alter table alerts add constraint alerts_incident_exists foreign key (incident_id) references incidents (id);

-- The queue and its results. Written by investigation/queue.rs (state, lease) and investigation/store.rs (result).
create table investigations (
    id                uuid primary key,
    incident_id       uuid not null references incidents (id),
    state             text not null check (state in ('queued', 'running', 'done', 'dead', 'cancelled')),
    reason            text not null,        -- why it was queued: opened, new alert name, severity rose, cooldown over, re-run
    priority          integer not null default 0, -- severity; higher first
    attempt           integer not null default 0, -- counts claims; the fence of every later statement
    failures          integer not null default 0, -- attempts that failed or whose worker vanished
    run_at            timestamptz not null default now(),
    lease_until       timestamptz,
    worker            text,
    error             text,                 -- of the last failed attempt, and the reason of `dead`
    workload          text not null,
    cluster           text not null,
    namespace         text not null,
    alert_name        text not null,
    runbook           text,
    runbook_revision  text,
    outcome           text check (outcome in ('known_pattern', 'root_cause', 'inconclusive', 'not_an_incident')),
    cause_id          text,
    summary           text,
    report            jsonb,
    steps             integer not null default 0,
    input_tokens      bigint not null default 0,
    cached_tokens     bigint not null default 0,
    output_tokens     bigint not null default 0,
    usd               double precision not null default 0,
    created_at        timestamptz not null default now(),
    started_at        timestamptz,
    finished_at       timestamptz,
    search            tsvector generated always as
                      (to_tsvector('english', coalesce(workload, '') || ' ' || coalesce(alert_name, '') || ' '
                          || coalesce(cause_id, '') || ' ' || coalesce(summary, ''))) stored
);
create index investigations_due on investigations (priority desc, run_at) where state = 'queued';
create index investigations_leases on investigations (lease_until) where state = 'running';
create index investigations_incident on investigations (incident_id);
create index investigations_created on investigations (created_at desc, id desc);
create index investigations_search on investigations using gin (search);
-- At most one waiting investigation an incident: a second reason joins the first.
create unique index investigations_one_queued on investigations (incident_id) where state = 'queued';

-- What an investigation looked at: the ledger. Written by investigation/store.rs.
create table steps (
    investigation_id  uuid not null references investigations (id) on delete cascade,
    attempt           integer not null,
    evidence          text not null,        -- E1, E2, …
    source            text not null,
    query             text not null,
    observation       text not null,        -- redacted
    milliseconds      bigint not null,
    created_at        timestamptz not null default now(),
    primary key (investigation_id, attempt, evidence)
);

-- The outbox: what is still to be said, and what was said. Written by slack/outbox.rs.
create table announcements (
    id              uuid primary key,
    incident_id     uuid not null references incidents (id),
    investigation_id uuid references investigations (id),
    kind            text not null check (kind in ('parent', 'summary', 'update', 'resolved')),
    channel         text not null,
    payload         jsonb not null,
    -- One announcement a key: `parent:<incident>`, `summary:<investigation>`, `resolved:<incident>:<n>`.
    dedup_key       text not null unique,
    state           text not null check (state in ('waiting', 'posting', 'posted', 'failed')),
    attempts        integer not null default 0,
    next_at         timestamptz not null default now(),
    message_ts      text,                   -- Slack's ts once posted
    error           text,
    created_at      timestamptz not null default now(),
    posted_at       timestamptz
);
create index announcements_due on announcements (next_at, created_at) where state in ('waiting', 'posting');
create index announcements_incident on announcements (incident_id, created_at);
