-- The thread that a monitoring bot opened already: the head of an incident's thread waits for a while and is looked
-- for among the channel's messages. Older versions go on beside it: they post a head of their own when its time comes.

-- Until when the bot's message is waited for; null: nobody looks. Written with the head.
alter table announcements add column thread_until timestamptz;
-- When the channel is read for it next.
alter table announcements add column thread_look_at timestamptz;
-- What became of the head: a message of ours, or a bot's that was found.
alter table announcements add column thread text check (thread in ('own', 'adopted'));
-- How sure the best match was, of 100, and why it was taken or not.
alter table announcements add column thread_score integer;
alter table announcements add column thread_reason text;
-- The bot's message about the alert. It may be a reply itself; `message_ts` is its thread's.
alter table announcements add column matched_ts text;
-- The thread says the same in another message: nothing is lost where the head cannot be changed.
alter table announcements add column in_thread boolean not null default false;

-- A message about an alert belongs to one incident.
create unique index announcements_matched on announcements (channel_id, matched_ts) where matched_ts is not null;
-- Heads that nobody decided about yet.
create index announcements_undecided on announcements (thread_look_at)
    where thread_until is not null and thread is null and state = 'waiting';
