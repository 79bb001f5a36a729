-- Investigations that read their cluster from a Job of the tenant's namespace (worker.executor: kubernetes-job). Written
-- by executor/store.rs. Nothing in here lasts: what was found goes into `steps`, as of every other investigation.

-- One attempt's Job, and what proves that a request comes from it.
create table readers (
    investigation_id uuid not null references investigations (id) on delete cascade,
    attempt      integer not null,          -- the fence: another attempt has another token
    token_hash   bytea not null unique,     -- SHA-256; the token itself stands in the Job alone
    namespace    text not null,
    job          text not null,
    started_at   timestamptz not null default now(),
    heard_at     timestamptz,               -- when it last asked for questions; null: never yet
    primary key (investigation_id, attempt)
);
create index readers_started on readers (started_at);

-- What the service asks the Job, and what it answers.
create table questions (
    investigation_id uuid not null,
    attempt      integer not null,
    number       integer not null,          -- from 1
    question     text not null,             -- JSON; text, because an answer may hold what jsonb refuses
    answer       text,                      -- JSON; null: none yet
    primary key (investigation_id, attempt, number),
    foreign key (investigation_id, attempt) references readers (investigation_id, attempt) on delete cascade
);
