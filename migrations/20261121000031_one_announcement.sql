-- What it takes to say each announcement once: what is known of a post under way, so that Slack can be asked for it
-- before it is repeated, and what is known of a channel. Older versions go on beside it; they neither read nor need
-- these columns.

-- Between these two the last post may have reached Slack. The first is stored before the call.
alter table announcements add column posting_since timestamptz;
alter table announcements add column posting_until timestamptz;
-- Times that Slack was asked whether the last post stands there.
alter table announcements add column looks integer not null default 0;
-- Slack answered the last post with an error of its own: hardly posted, though Slack does not rule it out.
alter table announcements add column answered boolean not null default false;
-- Slack refused its blocks: only its words are sent.
alter table announcements add column plain boolean not null default false;

-- The next due announcement of one channel, posts in doubt ('posting') before what waits.
create index announcements_next on announcements (channel, state, next_at, created_at, id)
    where state in ('waiting', 'posting');
-- Whether anything of the incident comes first.
create index announcements_unsaid on announcements (incident_id) where state in ('waiting', 'posting');

-- History wants a channel's id, posts may name it: learnt from posts.
alter table announcement_channels add column channel_id text;
-- Why the channel is held: what an operator has to mend, or that Slack fails. Null: nothing, or only its pace.
alter table announcement_channels add column fault text;
alter table announcement_channels add column fault_since timestamptz;
-- Faults since the last post that went well.
alter table announcement_channels add column faults integer not null default 0;

update announcement_channels c set channel_id = (
    select a.channel_id from announcements a
    where a.channel = c.channel and a.kind = 'parent' and a.channel_id is not null
    order by a.posted_at desc nulls last limit 1);
