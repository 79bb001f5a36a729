//! whodunit investigates alerts: a webhook in, a checked report out. The modules stand in the order
//! in which an alert meets them; `ARCHITECTURE.md` walks one alert through them.

// Papers: what is handed from room to room.
pub mod alert;
pub mod change;
pub mod facts;
pub mod inert;
pub mod logs;
pub mod redact;
pub mod report;
pub mod series;
pub mod words;
pub mod workload;

// Settings and the database, needed by the composition root.
pub mod postgres;
pub mod settings;
pub mod telemetry;

// 1. A sender's POST becomes alerts.
pub mod webhook;

// What is done about which alerts, and who pays.
pub mod policy;

// The conductor before the queue: alerts are committed, deduped and queued.
pub mod intake;
pub mod reconcile;

// 2. Alerts become incidents of a workload.
pub mod incident;

// 3. The runbook that fits.
pub mod runbook;

// Ports: what the program may reach outside, and what a model may ask through them.
pub mod llm;
pub mod source;
pub mod tool;

// 4. Facts, gathered read-only.
pub mod evidence;

// 5. Known patterns over facts.
pub mod signature;

// 6. The queue, and facts and findings becoming a report.
pub mod investigation;

// The same reading, done by a Job of the tenant's namespace.
pub mod executor;

// The conductors after the queue: one investigation, the loop around it, and the news of both.
pub mod announce;
pub mod investigator;
pub mod worker;

// What people say about a report, and ask for.
pub mod feedback;

// 7. The alert's thread, and what people ask for in it.
pub mod interact;
pub mod slack;

// And who is told beside Slack.
pub mod outlet;

// 8. The reading side.
pub mod api;
pub mod mcp;
pub mod web;

// The recorded cluster, served over HTTP.
pub mod demo;

// Cases: described clusters, investigated as in life, and what must be found in them.
pub mod cases;

// The composition root, and the commands.
pub mod app;
pub mod command;
