-- What the API needs to answer at once over 100,000 investigations.

-- Lists of one workload, one namespace, one cause, newest first.
create index investigations_of_workload on investigations (workload, created_at desc, id desc);
create index investigations_of_namespace on investigations (namespace, created_at desc, id desc);
create index investigations_of_cause on investigations (cause_id, created_at desc, id desc) where cause_id is not null;
-- What ended within some weeks.
create index investigations_finished on investigations (finished_at) where state in ('done', 'dead');

-- Whether a runbook of its own covered it. Counting must not unpack every report.
alter table investigations add column coverage text generated always as (report #>> '{runbook,coverage}') stored;
