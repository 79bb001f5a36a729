-- What the pages ask for often: the last investigation of an incident, what a runbook did, and what is over.
create index investigations_of_incident on investigations (incident_id, created_at desc, id desc);
create index investigations_of_runbook on investigations (runbook, created_at desc, id desc) where runbook is not null;
create index incidents_over on incidents (opened_at desc, id desc) where state = 'resolved';
