//! The fixed words of a message, by name: one field each, one table a language. `{name}` stands for what is filled in.
//! It holds no word of its own.

/// Declares the table and a way to go through it, so that a test can compare languages word by word.
macro_rules! table {
    ($($(#[$about:meta])* $name:ident,)*) => {
        #[derive(Debug)]
        pub struct Words {
            $($(#[$about])* pub $name: &'static str,)*
        }

        impl Words {
            #[cfg(test)]
            pub(super) fn entries(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

table! {
    // Verdicts.
    cause_found,
    no_cause,
    nothing_broken,
    why,
    suspected,
    at_fault,
    suspect,
    how_far,
    confidence,
    low,
    medium,
    high,
    /// After the confidence: how many quotes were found in what was read.
    quotes_found,
    nothing_to_quote,
    with_confidence,

    // Kinds of causes.
    code,
    configuration,
    image,
    resources,
    dependency,
    platform,
    external,

    // What a command changes.
    risk_none,
    risk_low,
    risk_high,

    // How far it reaches.
    radius_none,
    radius_pod,
    radius_workload,
    radius_node,
    radius_namespace,
    radius_namespaces,
    radius_cluster,
    pods_unhealthy,
    in_common,
    and_more,

    // Parts of the summary.
    what_proves_it,
    what_was_read,
    what_was_found,
    what_is_broken,
    what_changed,
    what_to_do,
    what_to_look_at,
    also_seen,
    checked_and_well,
    what_it_is_not,
    not_looked_at,
    unproven,
    read_at,
    from_source,
    from_source_at,
    quote_not_found,
    no_pattern,
    more_in_report,
    command_too_long,
    trigger,
    trigger_because,

    // What changed first.
    what_happened,
    changed,
    before_onset,
    after_onset,
    at_onset,
    near_itself,
    near_uses,
    near_owner,
    near_node,
    near_service,
    near_callee,
    near_caller,
    near_neighbour,
    next,

    // The last line.
    runbook_none,
    runbook_at,
    runbook_covered,
    runbook_partial,
    runbook_not_covering,
    investigated_in,
    /// Why no model was asked.
    held_policy,
    held_policy_money,
    held_namespace_money,
    held_namespace_investigations,
    cost_without_model,
    cost_with_model,
    full_report,
    details,

    // What happened before.
    seen_before,
    last_time_same,
    last_time_other,
    last_time_nothing,
    resolved_after,
    advised_then,
    noted_then,
    the_report_then,

    // The head of the thread.
    investigating,
    investigating_line,
    at_work,
    at_work_reading,
    firing_again,
    firing_again_line,
    could_not,
    could_not_line,
    joined,
    joined_line,
    folded,
    folded_line,
    resolved,
    resolved_line,
    was_severity,
    alerts,
    since,
    one_alert,
    many_alerts,
    cluster,

    // Notes in the thread.
    nothing_fires,
    looked_again,
    same_cause,
    still_no_cause,
    gave_up_why,
    gave_up,
    joined_note,
    joined_note_end,
    taken_in,
    taken_in_line,
    muted,
    muted_line,

    // Buttons and what follows from them.
    button_helpful,
    button_not_helpful,
    button_rerun,
    button_not_a_problem,
    button_evidence,
    ask_reason,
    ask_reason_hint,
    send,
    cancel,
    thanks,
    rerun_queued,
    rerun_running,
    muted_for,
    mute_nothing,
    not_possible,
    gone,
    evidence_title,
    evidence_none,
    asked_nobody,
    ask_failed,
    ask_nothing_known,
    ask_budget,
    answer_from,

    // Times.
    seconds,
    minutes,
    hours,
    days,
    /// Of chrono's `format`.
    moment,
}
