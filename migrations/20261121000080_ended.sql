-- What is counted over weeks and months stands in the index, so that nobody reads a year of reports for it.
create index investigations_ended on investigations (finished_at)
    include (id, state, outcome, coverage, runbook, alert_name, cluster, namespace, started_at,
             usd, input_tokens, cached_tokens, output_tokens)
    where state in ('done', 'dead');
drop index investigations_finished;
