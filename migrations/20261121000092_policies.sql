-- Whose money a run with a model spent, and when it was let begin. Written by investigation/money/store.rs.
alter table investigations add column policy text not null default '';
alter table investigations add column charged_at timestamptz;
create index investigations_charged on investigations (charged_at) where charged_at is not null;
