use chrono::{DateTime, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::Serialize;

/// Into what a window is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// Hours as clocks in the tenant's time zone show them.
    Hour,
    /// Days in the tenant's time zone.
    Day,
    /// Nothing: the window as a whole.
    #[default]
    Total,
}

impl Granularity {
    /// The longest window that is divided like this, in days.
    pub const fn most_days(self) -> i64 {
        match self {
            Self::Hour => 92,
            Self::Day | Self::Total => 3_660,
        }
    }

    /// The granularity of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "total" => Some(Self::Total),
            _ => None,
        }
    }
}

/// Why a window is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It ends before it begins, or at once.
    #[error("the window ends before it begins")]
    Empty,
    /// It is longer than can be answered.
    #[error("the window is longer than {most_days} days, the most for this granularity")]
    TooLong {
        /// The longest that can be.
        most_days: i64,
    },
}

/// A span of time, in whole quarters of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Its beginning (inclusive).
    pub from: DateTime<Utc>,
    /// Its end (exclusive).
    pub to: DateTime<Utc>,
    /// Into what it is divided.
    pub granularity: Granularity,
}

const QUARTER: TimeDelta = TimeDelta::minutes(15);

/// The beginning of the quarter of an hour that a moment is in.
pub(crate) fn quarter(moment: DateTime<Utc>) -> DateTime<Utc> {
    let beyond = moment.timestamp().rem_euclid(QUARTER.num_seconds());
    let seconds = moment.timestamp().saturating_sub(beyond);
    DateTime::from_timestamp(seconds, 0).unwrap_or(moment)
}

impl Window {
    /// The window from `from` to `to`, widened to whole quarters of an hour.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn new(
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        granularity: Granularity,
    ) -> Result<Self, WindowError> {
        if from >= to {
            return Err(WindowError::Empty);
        }
        let most_days = granularity.most_days();
        if to.signed_duration_since(from).num_days() > most_days {
            return Err(WindowError::TooLong { most_days });
        }
        let (from, last) = (quarter(from), quarter(to));
        let to = if last < to { last.checked_add_signed(QUARTER).unwrap_or(to) } else { last };
        Ok(Self { from, to, granularity })
    }

    /// Where the parts of the window begin; the first at its beginning. A day that clocks are turned on is as long as
    /// it was, and an hour that clocks show twice is two.
    pub(super) fn beginnings(&self, zone: Tz) -> Vec<DateTime<Utc>> {
        let mut beginnings = vec![self.from];
        let mut moment = self.from;
        let mut day = date(self.from, zone);
        while let Some(next) = moment.checked_add_signed(QUARTER).filter(|next| *next < self.to) {
            moment = next;
            match self.granularity {
                Granularity::Total => break,
                Granularity::Hour if next.with_timezone(&zone).minute() == 0 => beginnings.push(next),
                Granularity::Hour => {}
                Granularity::Day => {
                    let date = date(next, zone);
                    if date > day {
                        day = date;
                        beginnings.push(next);
                        // No day is shorter than this, and most moments need not be looked at.
                        moment = next.checked_add_signed(TimeDelta::hours(20)).unwrap_or(next);
                    }
                }
            }
        }
        beginnings
    }
}

/// The date that a calendar in `zone` shows.
fn date(moment: DateTime<Utc>, zone: Tz) -> NaiveDate {
    moment.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn beginnings(from: &str, to: &str, granularity: Granularity, zone: Tz) -> Vec<DateTime<Utc>> {
        Window::new(at(from), at(to), granularity).unwrap().beginnings(zone)
    }

    #[test]
    fn a_window_is_widened_to_quarters() {
        let window =
            Window::new(at("2026-03-01T10:07:00Z"), at("2026-03-01T10:46:00Z"), Granularity::Total).unwrap();
        assert_eq!((window.from, window.to), (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z")));
        let same = Window::new(window.from, window.to, Granularity::Total).unwrap();
        assert_eq!(same, window);
    }

    #[test]
    fn a_window_that_ends_before_it_begins_or_is_too_long_is_refused() {
        let (from, to) = (at("2026-03-01T10:00:00Z"), at("2026-07-01T10:00:00Z"));
        assert_eq!(Window::new(to, from, Granularity::Day), Err(WindowError::Empty));
        assert_eq!(Window::new(from, from, Granularity::Day), Err(WindowError::Empty));
        let too_long = Err(WindowError::TooLong { most_days: 92 });
        assert_eq!(Window::new(from, to, Granularity::Hour), too_long);
        assert!(Window::new(from, to, Granularity::Day).is_ok());
    }

    #[test]
    fn days_are_those_of_the_zone_on_the_days_that_clocks_are_turned_too() {
        let zone = Tz::Europe__Berlin;
        let days = beginnings("2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z", Granularity::Day, zone);
        let expected =
            ["2026-03-28T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"];
        assert_eq!(days, expected.map(at));
        let days = beginnings("2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", Granularity::Day, zone);
        assert_eq!(days, ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"].map(at));
    }

    #[test]
    fn zones_off_by_parts_of_an_hour_have_hours_and_days_of_their_own() {
        let zone = Tz::Asia__Kathmandu;
        let hours = beginnings("2026-01-01T17:30:00Z", "2026-01-01T19:20:00Z", Granularity::Hour, zone);
        let expected = ["2026-01-01T17:30:00Z", "2026-01-01T18:15:00Z", "2026-01-01T19:15:00Z"];
        assert_eq!(hours, expected.map(at));
        let days = beginnings("2026-01-01T18:00:00Z", "2026-01-02T00:00:00Z", Granularity::Day, zone);
        assert_eq!(days, ["2026-01-01T18:00:00Z", "2026-01-01T18:15:00Z"].map(at));
    }

    #[test]
    fn an_hour_that_is_shown_twice_is_two() {
        let zone = Tz::Europe__Berlin;
        let hours = beginnings("2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", Granularity::Hour, zone);
        assert_eq!(hours.len(), 4);
    }

    #[test]
    fn a_day_without_midnight_begins_when_clocks_are_turned() {
        // In Beirut clocks go from 00:00 to 01:00.
        let days =
            beginnings("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", Granularity::Day, Tz::Asia__Beirut);
        assert_eq!(days, ["2026-03-28T12:00:00Z", "2026-03-28T22:00:00Z"].map(at));
    }

    #[test]
    fn the_whole_has_one_part_and_ten_years_have_all_their_days() {
        let (from, to) = ("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z");
        assert_eq!(beginnings(from, to, Granularity::Total, Tz::UTC), [at(from)]);
        for zone in [Tz::UTC, Tz::America__St_Johns, Tz::Australia__Lord_Howe, Tz::Pacific__Chatham] {
            let days = beginnings(from, to, Granularity::Day, zone);
            let dates: Vec<NaiveDate> = days.iter().map(|day| date(*day, zone)).collect();
            assert!(dates.windows(2).all(|pair| pair[1] == pair[0].succ_opt().unwrap()), "{zone}");
            assert!(dates.len() >= 3_653, "{zone}");
        }
    }
}
