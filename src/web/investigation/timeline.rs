//! The timeline of a report: drawn to scale above, told below, entry by entry under the same numbers. Signs differ in
//! shape, not only in colour. The drawing is a picture for the eyes; the list says everything.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::report::{Moment, Report, TimelineEntry};
use crate::web::layout::{prose, words};
use crate::web::scale::{LEVELS, WIDTH, scale};
use crate::words;

/// Entries that are drawn and told.
const MAX_ENTRIES: usize = 24;
/// Half of a sign, and the height of a level, in the drawing's units.
const RADIUS: f64 = 13.0;
const LEVEL: f64 = 32.0;

/// The ranking, in its order.
pub(super) fn changed(report: &Report) -> Markup {
    html! {
        @if !report.changed_first.is_empty() {
            section aria-labelledby="changed" {
                h2 id="changed" { (words().what_changed) }
                ol {
                    @for one in &report.changed_first {
                        li {
                            time datetime=(one.at.format("%Y-%m-%dT%H:%M:%SZ")) { (one.at.format("%H:%M:%S")) } " "
                            (prose(&words().changed(one)))
                            @if !one.evidence.is_empty() { " " (super::proof::links(std::slice::from_ref(&one.evidence))) }
                        }
                    }
                }
                p.muted { "By time before the onset, nearness and kind: an order, no proof." }
            }
        }
    }
}

pub(super) fn timeline(report: &Report) -> Markup {
    let entries = words::timeline(report, MAX_ENTRIES);
    html! {
        @if !entries.is_empty() {
            section aria-labelledby="timeline" {
                h2 id="timeline" { "What happened when" }
                @if entries.len() > 1 { (drawing(&entries)) }
                ol.timeline {
                    @for entry in &entries {
                        li class=[entry.trigger.then_some("trigger")] {
                            (told(entry))
                        }
                    }
                }
                @if report.timeline.len() > entries.len() {
                    p.muted { (report.timeline.len() - entries.len()) " more are in the report that the API gives." }
                }
            }
        }
    }
}

fn told(entry: &TimelineEntry) -> Markup {
    html! {
        time datetime=(entry.at.format("%Y-%m-%dT%H:%M:%SZ")) { (entry.at.format("%Y-%m-%d %H:%M:%S")) }
        " " span.kind { (kind(entry.kind)) } " "
        (prose(&entry.what))
        @if entry.trigger { strong { (words().trigger(entry)) } }
        @if !entry.evidence.is_empty() { " " (super::proof::links(std::slice::from_ref(&entry.evidence))) }
    }
}

fn kind(moment: Moment) -> &'static str {
    match moment {
        Moment::Rollout => "rollout",
        Moment::Config => "configuration",
        Moment::Scaling => "scaling",
        Moment::Node => "node",
        Moment::Failure => "failure",
        Moment::Restart => "restart",
        Moment::Alert => "alert",
        Moment::Sign => "sign",
    }
}

fn drawing(entries: &[&TimelineEntry]) -> Markup {
    let moments: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.at).collect();
    let drawn = scale(&moments);
    let top = drawn.places.iter().map(|place| place.level).max().unwrap_or(0).min(LEVELS - 1);
    let line = RADIUS + 6.0 + top as f64 * LEVEL;
    let height = line + RADIUS + 6.0;
    html! {
        figure.scale {
            svg viewBox={ "0 0 " (WIDTH) " " (height) } aria-hidden="true" focusable="false" {
                line.axis x1="0" x2=(WIDTH) y1=(line) y2=(line) {}
                @for gap in &drawn.breaks {
                    path.gap d=(format!("M{:.1} {:.1}l10 -20m6 20l10 -20", (gap.from + gap.to) / 2.0 - 13.0, line + 10.0)) {}
                }
                @for (number, (entry, place)) in (1..).zip(entries.iter().zip(&drawn.places)) {
                    @let y = line - place.level as f64 * LEVEL;
                    @if place.level > 0 { line.stem x1=(at(place.x)) x2=(at(place.x)) y1=(at(y)) y2=(line) {} }
                    (sign(entry, place.x, y))
                    text x=(at(place.x)) y=(at(y + 5.5)) text-anchor="middle" { (number) }
                }
            }
            figcaption {
                @if let (Some(first), Some(last)) = (moments.first(), moments.last()) {
                    span { (first.format("%Y-%m-%d %H:%M:%S UTC")) }
                    @for gap in &drawn.breaks { span { "// " (words().span(gap.length)) " left out" } }
                    span { (last.format("%H:%M:%S UTC")) " (" (words().span(*last - *first)) " in all)" }
                }
            }
        }
    }
}

fn at(value: f64) -> String {
    format!("{value:.1}")
}

/// A change is a diamond, a failure a square, an alert a triangle, a restart a circle.
fn sign(entry: &TimelineEntry, x: f64, y: f64) -> Markup {
    let r = RADIUS;
    let class = if entry.trigger { "sign trigger" } else { "sign" };
    let points = |points: &[(f64, f64)]| {
        points.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect::<Vec<_>>().join(" ")
    };
    html! {
        @match entry.kind {
            moment if moment.is_change() => polygon class={ (class) " change" } points=(points(&[(0.0, -r - 3.0), (r + 3.0, 0.0), (0.0, r + 3.0), (-r - 3.0, 0.0)])) {},
            Moment::Alert => polygon class={ (class) " alert" } points=(points(&[(0.0, -r - 5.0), (r + 4.0, r), (-r - 4.0, r)])) {},
            Moment::Restart => circle class={ (class) " restart" } cx=(at(x)) cy=(at(y)) r=(r) {},
            _ => rect class={ (class) " failure" } x=(at(x - r + 1.0)) y=(at(y - r + 1.0)) width=(2.0 * r - 2.0) height=(2.0 * r - 2.0) {},
        }
    }
}
