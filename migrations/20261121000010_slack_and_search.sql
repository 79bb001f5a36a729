-- What Slack needs beside the outbox's first columns, and a search that finds what people type.

-- chat.update takes a channel's id, never its name: the id comes back with the first post.
alter table announcements add column channel_id text;
alter table announcements add column failed_at timestamptz;
-- Posts whose answer never came: each may stand in the channel.
alter table announcements add column doubts integer not null default 0;
create index announcements_failed on announcements (failed_at) where state = 'failed';

-- When a channel may be written to again: at most one message a second, and later while Slack says
-- "rate limited". Shared by all replicas. Written by slack/outbox.rs.
create table announcement_channels (
    channel  text primary key,
    free_at  timestamptz not null
);

-- `lab/shop/Deployment/checkout` is one token (a file path) to Postgres, and `KubePodCrashLooping` one word:
-- both are split, so that `checkout` and `crash` find them.
alter table investigations drop column search;
alter table investigations add column search tsvector generated always as (
    to_tsvector('english',
        translate(coalesce(workload, ''), '/', ' ') || ' ' || coalesce(alert_name, '') || ' '
        || regexp_replace(coalesce(alert_name, ''), '([a-z0-9])([A-Z])', '\1 \2', 'g') || ' '
        || coalesce(cause_id, '') || ' ' || coalesce(summary, ''))) stored;
create index investigations_search on investigations using gin (search);
