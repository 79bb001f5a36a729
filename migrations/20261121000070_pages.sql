-- What the pages ask for often: the last investigation of an incident, the one before it of a workload, and what a
-- runbook did.
create index investigations_of_incident on investigations (incident_id, created_at desc, id desc);
create index investigations_of_workload on investigations (workload, created_at desc);
create index investigations_of_runbook on investigations (runbook, created_at desc, id desc) where runbook is not null;
create index incidents_over on incidents (opened_at desc, id desc) where state = 'resolved';
