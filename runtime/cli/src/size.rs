//! Sizes, as people write them.

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads bytes: `65536`, `64KiB`, `64 MiB`, `1GiB`. At least 1.
pub fn parse(text: &str) -> Result<u64, String> {
    let (number, unit) =
        UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?.trim_end(), *bytes))).unwrap_or((text, 1));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.then(|| number.parse().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(unit)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "it is no size: write bytes, or a whole number of KiB, MiB or GiB, such as 64MiB".to_owned())
}

/// In the largest unit of which it is a whole number.
pub fn text(bytes: u64) -> String {
    match UNITS.iter().find(|(_, unit)| bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (written, bytes, shown) in [
            ("65536", 65_536, "64 KiB"),
            ("64KiB", 65_536, "64 KiB"),
            ("64 MiB", 64 << 20, "64 MiB"),
            ("2GiB", 2 << 30, "2 GiB"),
            ("1000", 1000, "1000 bytes"),
        ] {
            assert_eq!(parse(written).unwrap(), bytes);
            assert_eq!(text(bytes), shown);
        }
        for wrong in ["", "0", "0MiB", "MiB", "64MB", "-1", "+1", "1.5GiB", "99999999999GiB", "64mib"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
