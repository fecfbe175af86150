//! Randomness that a replay repeats: a stream that the run's id seeds.

use std::ops::{Bound, RangeBounds};

use crate::runtime::Runtime;

/// The host gives no more at a time.
const MAX_BYTES_PER_CALL: usize = 65_536;

/// The workflow's random numbers. Good for jitter, sampling and ids; not for secrets, as whoever knows the run can
/// repeat them.
///
/// The crates `rand`, `getrandom` and `uuid` work as well, and are as repeatable.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// let jitter = Duration::from_millis(random().range(0..500));
/// let heads = random().f64() < 0.5;
/// # let _ = (jitter, heads);
/// ```
pub fn random() -> Random {
    Random { _private: () }
}

/// See [`random`].
#[derive(Clone, Copy, Debug)]
pub struct Random {
    _private: (),
}

impl Random {
    /// So many random bytes.
    pub fn bytes(self, len: usize) -> Vec<u8> {
        let runtime = Runtime::current();
        runtime.draws();
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let count = (len - bytes.len()).min(MAX_BYTES_PER_CALL);
            bytes.extend(runtime.host().random_bytes(count as u32));
        }
        bytes
    }

    fn array<const N: usize>(self) -> [u8; N] {
        self.bytes(N).try_into().expect("the host gives as many bytes as it is asked for")
    }

    /// Any number.
    pub fn u64(self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// From 0 up to, but not including, 1.
    pub fn f64(self) -> f64 {
        // 53 bits are what an f64 can hold exactly.
        (self.u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True or false, with equal chance.
    pub fn bool(self) -> bool {
        self.array::<1>()[0] & 1 == 1
    }

    /// A number of the range, each with equal chance.
    ///
    /// # Panics
    /// Where the range is empty.
    pub fn range(self, range: impl RangeBounds<u64>) -> u64 {
        let first = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.checked_add(1).expect("the range is empty"),
            Bound::Unbounded => 0,
        };
        let last = match range.end_bound() {
            Bound::Included(&last) => last,
            Bound::Excluded(&after) => after.checked_sub(1).expect("the range is empty"),
            Bound::Unbounded => u64::MAX,
        };
        assert!(first <= last, "the range is empty");
        let Some(count) = (last - first).checked_add(1) else {
            return self.u64();
        };
        // Numbers above the greatest multiple of the count would favour the small remainders: draw again.
        let fair = u64::MAX - (u64::MAX % count + 1) % count;
        loop {
            let number = self.u64();
            if number <= fair {
                return first + number % count;
            }
        }
    }
}

/// A random UUID (version 4) in its usual form, such as `7f3e0b0a-5c1d-4e8a-9b0c-2d1f6a7b8c9d`.
pub fn uuid4() -> String {
    let mut bytes: [u8; 16] = random().array();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
