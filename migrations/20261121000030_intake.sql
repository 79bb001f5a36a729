-- Intake at the database's speed, and counters that add up.

-- The investigation that an alert asked for; null when it joined what was there, or asked for nothing. No
-- foreign key: retention may take an investigation before its alerts.
alter table alerts add column investigation_id uuid;

-- Alerts come in the order of their time: a block range index finds a day's as well, and costs an insert nothing.
create index alerts_received_brin on alerts using brin (received_at);
drop index alerts_received;

-- Rows that are updated in place need room on their page.
alter table incidents set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table investigations set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table announcements set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- What was counted for good: alerts received, and what became of those that retention has deleted. Several
-- slots a name, so that two commits seldom wait for one row. Written by incident/tally.rs.
create table tallies (
    name   text not null,
    slot   smallint not null,
    count  bigint not null,
    primary key (name, slot)
);
-- What came before this table did.
insert into tallies (name, slot, count)
select 'received', 0, count(*) + coalesce(sum(repeats), 0) from alerts having count(*) > 0;

-- The order in which investigations are claimed, in seconds: by age, where each step of severity is worth five
-- minutes. What waits long enough is first, whatever comes after it.
alter table investigations add column rank double precision generated always as
    (extract(epoch from (run_at - timestamptz '1970-01-01 00:00:00+00')) - priority * 300.0) stored;
create index investigations_rank on investigations (rank) where state = 'queued';
drop index investigations_due;

-- What one replica at a time does now and then, and when it is due again. Written by postgres/chore.rs.
create table chores (
    name    text primary key,
    due_at  timestamptz not null
);

-- An incident that is one of many at once: what is found stands with the incident of what they share.
alter table incidents add column folded_into uuid references incidents (id);
create index incidents_folded on incidents (folded_into) where folded_into is not null;

-- The Alertmanager that lists this firing by itself: only what it listed once can be over by its word.
alter table alerts add column listed_by text;
