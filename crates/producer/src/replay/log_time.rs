//! The time of a log line: `08/Dec/2025:12:34:56 +0100`.

use std::time::{Duration, SystemTime};

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAYS_BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The moment that the text names; none if it names none, or one before 1970.
pub(super) fn parse(text: &[u8]) -> Option<SystemTime> {
    let punctuation = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    let shaped = text.len() == 26 && punctuation.iter().all(|&(at, byte)| text[at] == byte);
    if !shaped {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == &text[3..6])?;
    let (day, year) = (digits(&text[..2])?, digits(&text[7..11])?);
    let leap_day = u64::from(month == 1 && is_leap(year));
    if !(1..=DAYS[month] + leap_day).contains(&day) || year < 1970 {
        return None;
    }
    let below = |from: usize, limit: u64| digits(&text[from..from + 2]).filter(|n| *n < limit);
    // A leap second is written as the sixtieth.
    let (hour, minute, second) = (below(12, 24)?, below(15, 60)?, below(18, 61)?);
    let days = days_before_year(year) + DAYS_BEFORE[month] + day - 1
        + u64::from(month > 1 && is_leap(year));
    let local = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let offset = below(22, 24)? * 3_600 + below(24, 60)? * 60;
    let utc = match text[21] {
        b'+' => local.checked_sub(offset)?,
        b'-' => local + offset,
        _ => return None,
    };
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(utc))
}

fn digits(text: &[u8]) -> Option<u64> {
    let add =
        |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
    text.iter().try_fold(0, add)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days from 1970 to the first of January of `year`.
fn days_before_year(year: u64) -> u64 {
    let leap_days = |before: u64| before / 4 - before / 100 + before / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(text: &str) -> Option<String> {
        parse(text.as_bytes()).map(|time| humantime::format_rfc3339_seconds(time).to_string())
    }

    #[test]
    fn names_the_moment_in_utc_whatever_the_zone() {
        for (text, expected) in [
            ("08/Dec/2025:12:34:56 +0000", "2025-12-08T12:34:56Z"),
            ("08/Dec/2025:12:34:56 +0100", "2025-12-08T11:34:56Z"),
            ("31/Dec/2025:20:00:00 -0930", "2026-01-01T05:30:00Z"),
            ("01/Jan/2026:00:10:00 +0530", "2025-12-31T18:40:00Z"),
            ("29/Feb/2024:00:00:00 +0000", "2024-02-29T00:00:00Z"),
            ("01/Mar/2024:00:00:00 +0000", "2024-03-01T00:00:00Z"),
            ("01/Mar/2100:00:00:00 +0000", "2100-03-01T00:00:00Z"),
            ("31/Dec/2000:23:59:59 +0000", "2000-12-31T23:59:59Z"),
            ("01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00Z"),
            ("31/Dec/2016:23:59:60 +0000", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn every_day_of_five_hundred_years_is_the_one_that_another_calendar_says() {
        for days in 0..182_000 {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + 45_296);
            let text = humantime::format_rfc3339_seconds(time).to_string();
            let month = text[5..7].parse::<usize>().unwrap();
            let month = str::from_utf8(MONTHS[month - 1]).unwrap();
            let log = format!("{}/{month}/{}:12:34:56 +0000", &text[8..10], &text[..4]);
            assert_eq!(parse(log.as_bytes()), Some(time), "{log}");
        }
    }

    #[test]
    fn what_names_no_moment_is_no_time() {
        for text in [
            "",
            "-",
            "8/Dec/2025:12:34:56 +0000",
            "08/dec/2025:12:34:56 +0000",
            "08/Foo/2025:12:34:56 +0000",
            "00/Dec/2025:12:34:56 +0000",
            "32/Dec/2025:12:34:56 +0000",
            "29/Feb/2025:12:34:56 +0000",
            "29/Feb/2100:12:34:56 +0000",
            "08/Dec/2025:24:34:56 +0000",
            "08/Dec/2025:12:60:56 +0000",
            "08/Dec/2025:12:34:61 +0000",
            "08/Dec/2025:12:34:56",
            "08/Dec/2025:12:34:56 0000 ",
            "08/Dec/2025:12:34:56 *0000",
            "08/Dec/2025:12:34:56 +2400",
            "08/Dec/2025:12:34:56 +00:0",
            "08/Dec/1969:12:34:56 +0000",
            "01/Jan/1970:00:00:00 +0100",
            "2025-12-08T12:34:56+00:00 ",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
