-- Requests of Slack that were acted on, for a while: each is done once. Written by slack/interaction/seen/store.rs.
create table slack_requests (
    id  text primary key,
    at  timestamptz not null default now()
);
create index slack_requests_at on slack_requests (at);

-- Questions that people asked about an incident, answered from what was read for it. Their cost counts with that of
-- investigations. Written by investigation/answer/store.rs.
create table answers (
    id                uuid primary key,
    investigation_id  uuid not null references investigations (id) on delete cascade,
    author            text not null,
    question          text not null,        -- redacted
    answer            text not null,        -- "" while it is asked
    tokens            bigint not null default 0,
    -- The most that it can cost while it is asked, then what it cost.
    usd               double precision not null,
    at                timestamptz not null default now()
);
create index answers_at on answers (at);
create index answers_investigation on answers (investigation_id);

-- A thread's incident is found by its first message.
create index announcements_thread on announcements (channel_id, message_ts) where kind = 'parent';
