//! A part of the week in a time zone: whether a moment lies within it. Settings come in; it reads no clock.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use crate::settings::Times;

const MINUTES_A_DAY: u32 = 24 * 60;
const DAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// Days, and minutes of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    zone: Tz,
    /// By the number of days from Monday.
    days: [bool; 7],
    from: u32,
    to: u32,
}

impl Window {
    pub(super) fn new(settings: &Times) -> Result<Self, String> {
        let zone = match settings.zone.trim() {
            "" => Tz::UTC,
            name => name
                .parse()
                .map_err(|_| format!("`{name}` is no time zone; write one as in Europe/Berlin or UTC"))?,
        };
        let mut days = [settings.days.is_empty(); 7];
        for text in &settings.days {
            mark(text, &mut days)?;
        }
        let from = settings.from.as_deref().map_or(Ok(0), minutes)?;
        let to = settings.to.as_deref().map_or(Ok(MINUTES_A_DAY), minutes)?;
        if from == to || from == MINUTES_A_DAY {
            return Err(format!("from {} to {} is no time of a day", clock(from), clock(to)));
        }
        Ok(Self { zone, days, from, to })
    }

    pub(super) fn holds(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone);
        let minute = local.hour() * 60 + local.minute();
        let today = self.on(local.weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        // It belongs to the day on which it begins.
        today && minute >= self.from || self.on(local.weekday().pred()) && minute < self.to
    }

    /// The moment as this window sees it: `Fri 23:10 Europe/Berlin`.
    pub(super) fn shown(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format(&format!("%a %H:%M {}", self.zone.name())).to_string()
    }

    fn on(&self, day: Weekday) -> bool {
        self.days.get(day.num_days_from_monday() as usize).copied().unwrap_or_default()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.days.iter().all(|day| *day) {
            let named: Vec<String> =
                DAYS.iter().filter(|day| self.on(**day)).map(|day| day.to_string().to_lowercase()).collect();
            write!(f, "{} ", named.join(","))?;
        }
        write!(f, "{}-{} {}", clock(self.from), clock(self.to), self.zone.name())
    }
}

/// `fri`, `Friday` or `mon-fri`; a range may go over the week's end.
fn mark(text: &str, days: &mut [bool; 7]) -> Result<(), String> {
    let day = |word: &str| {
        word.trim()
            .parse::<Weekday>()
            .map_err(|_| format!("`{text}` is no day; write one as in mon or mon-fri"))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let mut at = first;
    loop {
        if let Some(marked) = days.get_mut(at.num_days_from_monday() as usize) {
            *marked = true;
        }
        if at == last {
            return Ok(());
        }
        at = at.succ();
    }
}

/// Minutes since midnight of `HH:MM`; `24:00` is the day's end.
fn minutes(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no time of a day; write one as in 22:00");
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(bad)?;
    let number = |part: &str| {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse::<u32>().map_err(|_| bad()) } else { Err(bad()) }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    if minutes < 60 && all <= MINUTES_A_DAY { Ok(all) } else { Err(bad()) }
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(zone: &str, days: &[&str], from: &str, to: &str) -> Times {
        let time = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        Times { zone: zone.to_owned(), days, from: time(from), to: time(to) }
    }

    #[test]
    fn a_window_holds_in_its_own_zone_and_belongs_to_the_day_it_begins_on() {
        let berlin = "Europe/Berlin";
        let table = [
            // 2026-11-20 is a Friday. Berlin is one hour ahead of UTC then, two in summer.
            (times("", &[], "", ""), "2026-11-20T00:00:00Z", true),
            (times("", &["mon-fri"], "08:00", "18:00"), "2026-11-20T08:00:00Z", true),
            (times("", &["mon-fri"], "08:00", "18:00"), "2026-11-20T18:00:00Z", false),
            (times("", &["mon-fri"], "08:00", "18:00"), "2026-11-21T09:00:00Z", false),
            (times(berlin, &[], "08:00", "18:00"), "2026-11-20T07:00:00Z", true),
            (times(berlin, &[], "08:00", "18:00"), "2026-07-17T06:00:00Z", true),
            (times(berlin, &[], "08:00", "18:00"), "2026-07-17T05:59:00Z", false),
            (times("", &["fri"], "22:00", "06:00"), "2026-11-21T05:59:00Z", true),
            (times("", &["fri"], "22:00", "06:00"), "2026-11-20T05:59:00Z", false),
            (times("", &["fri"], "22:00", "06:00"), "2026-11-21T22:00:00Z", false),
            (times("", &["Saturday", "sun"], "", ""), "2026-11-21T12:00:00Z", true),
            (times("", &["fri-mon"], "", ""), "2026-11-22T12:00:00Z", true),
            (times("", &["fri-mon"], "", ""), "2026-11-24T12:00:00Z", false),
            (times("", &[], "20:00", "24:00"), "2026-11-24T23:59:59Z", true),
        ];
        for (settings, at, holds) in table {
            let window = Window::new(&settings).unwrap();
            assert_eq!(window.holds(at.parse().unwrap()), holds, "{window} at {at}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for (settings, why) in [
            (times("Berlin", &[], "", ""), "`Berlin` is no time zone"),
            (times("", &["someday"], "", ""), "`someday` is no day"),
            (times("", &[], "8:00", ""), "`8:00` is no time of a day"),
            (times("", &[], "", "24:01"), "`24:01` is no time of a day"),
            (times("", &[], "08:00", "08:00"), "from 08:00 to 08:00 is no time of a day"),
        ] {
            let error = Window::new(&settings).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
