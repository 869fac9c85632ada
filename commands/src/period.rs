//! Months of a time zone.

use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use domain::ZoneName;
use domain::allowance::Period;

/// The zone of this name; UTC where none is named. `None` where there is no such zone.
pub(crate) fn zone(name: Option<&ZoneName>) -> Option<Tz> {
    name.map_or(Some(Tz::UTC), |name| name.as_str().parse().ok())
}

/// The month of a zone in which a moment lies, from midnight of its first day to midnight of the next month's. Where the
/// clocks are turned at that midnight, the month begins at the first moment of the day that there is.
pub fn month(zone: Option<&ZoneName>, at: DateTime<Utc>) -> Period {
    // The name was checked when it was set; should a later database of zones not have it, months are those of UTC.
    let zone = self::zone(zone).unwrap_or(Tz::UTC);
    let first = at.with_timezone(&zone).date_naive().with_day(1);
    let next = first.and_then(|first| first.checked_add_months(Months::new(1)));
    let bounds =
        first.and_then(|first| midnight(zone, first)).zip(next.and_then(|next| midnight(zone, next)));
    // Only at the ends of the calendar, some 260,000 years from here, is there no such month.
    bounds.map_or(Period { start: at, end: at }, |(start, end)| Period { start, end })
}

/// How many months of a zone have begun after the one that begins at `last`, up to and with the one that begins at `now`.
pub(crate) fn begun(zone: Option<&ZoneName>, last: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    let zone = self::zone(zone).unwrap_or(Tz::UTC);
    // A month that began in another zone may begin in the last hours of a month of this one.
    let local = |at: DateTime<Utc>| (at + TimeDelta::days(2)).with_timezone(&zone);
    let number = |at: DateTime<Tz>| i64::from(at.year()) * 12 + i64::from(at.month0());
    u32::try_from(number(local(now)) - number(local(last))).unwrap_or(0)
}

fn midnight(zone: Tz, day: NaiveDate) -> Option<DateTime<Utc>> {
    let midnight = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.with_timezone(&Utc)),
        // Clocks go forward over midnight, by an hour at the most but for whole days that were left out.
        LocalResult::None => {
            let mut quarters = (1..=4).map(|quarter| midnight + TimeDelta::minutes(15 * quarter));
            let found = quarters.find_map(|time| zone.from_local_datetime(&time).earliest());
            match found {
                Some(at) => Some(at.with_timezone(&Utc)),
                None => self::midnight(zone, day.checked_add_days(Days::new(1))?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn named(zone: &str) -> ZoneName {
        ZoneName::new(zone).unwrap()
    }

    #[test]
    fn a_month_begins_at_midnight_of_its_zone() {
        for (zone, moment, start, end) in [
            ("UTC", "2026-02-14T12:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("Europe/Berlin", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
            ("Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
            ("Asia/Kolkata", "2026-01-01T00:00:00Z", "2025-12-31T18:30:00Z", "2026-01-31T18:30:00Z"),
            ("America/New_York", "2026-11-15T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
            // Clocks went forward over this very midnight.
            ("America/Asuncion", "2023-10-15T00:00:00Z", "2023-10-01T04:00:00Z", "2023-11-01T03:00:00Z"),
        ] {
            let expected = Period { start: at(start), end: at(end) };
            assert_eq!(month(Some(&named(zone)), at(moment)), expected, "{zone} {moment}");
        }
    }

    #[test]
    fn months_follow_each_other_without_a_gap_whatever_is_done_to_the_clocks() {
        for zone in
            ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Africa/Cairo"]
        {
            let zone = &named(zone);
            let mut last = month(Some(zone), at("1990-01-20T00:00:00Z"));
            for _ in 0..600 {
                let next = month(Some(zone), last.end);
                assert_eq!(next.start, last.end);
                assert_eq!(month(Some(zone), last.end - TimeDelta::microseconds(1)), last);
                assert_eq!(begun(Some(zone), last.start, next.start), 1);
                assert_eq!(begun(Some(zone), last.start, last.start), 0);
                last = next;
            }
        }
    }

    #[test]
    fn a_zone_has_a_name_that_is_known() {
        assert!(zone(Some(&named("Europe/Berlin"))).is_some());
        assert!(zone(Some(&named("Europe/Atlantis"))).is_none());
    }
}
