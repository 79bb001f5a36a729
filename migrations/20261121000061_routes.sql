-- Which route named the channel of an incident's first message, and why. Null: written before there were routes.
alter table announcements add column route_reason text;
