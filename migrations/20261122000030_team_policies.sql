-- The team's own policy, as namespace/name, under which a run with a model spent money. Written by investigation/money/store.rs.
alter table investigations add column team_policy text not null default '';
