//! Durations as the `temporal` CLI takes them: `30s`, `5m`, `1h30m`, `1.5h`, `250ms`, `2d`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Protobuf's own bound: about 10,000 years.
const SECONDS_MAX: f64 = 315_576_000_000.0;

/// Reads a duration; for clap, so the error is text for the person who typed it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write numbers with units, such as 30s, 5m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(format!("{text:?} is negative"));
    }
    let (mut rest, mut seconds) = (text, 0.0);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds += number * scale;
        rest = after;
    }
    if seconds > SECONDS_MAX {
        return Err(format!("{text:?} is longer than {SECONDS_MAX} s"));
    }
    // Rounded to nanoseconds, so that 0.1s is 100 ms exactly.
    Ok(Duration::new(seconds.trunc() as u64, 0) + Duration::from_nanos((seconds.fract() * 1e9).round() as u64))
}

/// A duration for a request: none where it was not given.
pub fn to_proto(duration: Option<Duration>) -> Option<mainspring_api::Duration> {
    duration.map(|duration| mainspring_api::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, milliseconds: u64) {
        assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }

    #[test]
    fn durations_are_read_as_the_temporal_cli_reads_them() {
        check("30s", 30_000);
        check("5m", 300_000);
        check("1h30m", 5_400_000);
        check("1h30m15.5s", 5_415_500);
        check("1.5h", 5_400_000);
        check("250ms", 250);
        check("0.1s", 100);
        check(".5s", 500);
        check("2d", 172_800_000);
        check("0", 0);
        check("0s", 0);
        assert_eq!(parse("1us"), Ok(Duration::from_micros(1)));
        assert_eq!(parse("1µs"), Ok(Duration::from_micros(1)));
        assert_eq!(parse("7ns"), Ok(Duration::from_nanos(7)));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for text in ["", "5", "s", "5x", "1h30", "five", "1..5s", ".s", "5 m", "1e3s"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("is no duration"), "{text}: {error}");
        }
        assert_eq!(parse("-5s"), Err("\"-5s\" is negative".to_owned()));
        assert!(parse("999999999999h").unwrap_err().contains("longer than"));
    }
}
