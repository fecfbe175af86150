//! Keys as byte strings: prefix ranges, and a form that people can read in an error message.

use crate::Key;

/// The smallest key after all keys with the prefix, so that `prefix..prefix_end(prefix)` is exactly the prefix's rows.
///
/// A prefix of nothing but `0xff` bytes (and the empty prefix, which every key has) has no such key. Then the answer
/// is longer and larger than any key that a store takes: [`crate::limits::KEY_BYTES_MAX`] + 1 bytes of `0xff`.
pub fn prefix_end(prefix: &[u8]) -> Key {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        }
        None => vec![0xff; crate::limits::KEY_BYTES_MAX + 1],
    }
}

/// A key for people: printable ASCII as it is, every other byte as `\xNN`, cut after 120 bytes.
pub fn readable_key(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 120;
    let shown = &key[..key.len().min(SHOWN_BYTES)];
    let text = shown.escape_ascii().to_string();
    if shown.len() < key.len() { format!("{text}… ({} bytes)", key.len()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_carries_past_0xff() {
        assert_eq!(prefix_end(b"ab"), b"ac");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xfe\xff"), b"\xff");
        assert_eq!(prefix_end(b"\x00"), b"\x01");
    }

    #[test]
    fn the_end_of_a_prefix_without_a_successor_is_after_every_key() {
        let longest = vec![0xff; crate::limits::KEY_BYTES_MAX];
        assert!(prefix_end(b"\xff\xff") > longest);
        assert!(prefix_end(b"") > longest);
    }

    #[test]
    fn a_key_is_shown_readable_and_short() {
        assert_eq!(readable_key(b"run/\x00\xff"), r"run/\x00\xff");
        assert!(readable_key(&[b'a'; 4_000]).ends_with("… (4000 bytes)"));
    }
}
