//! The streams of randomness that a journal determines.
//!
//! Each stream is ChaCha20, seeded by the SHA-256 of a label and the id of the run that began this history. So a guest
//! that draws more from one stream does not disturb another, and a replay draws the same.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// What a stream is for. Changing a label changes every run's randomness: never do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// `mainspring:workflow/random`.
    Workflow,
    /// `wasi:random/random`.
    Wasi,
    /// `wasi:random/insecure`.
    WasiInsecure,
}

impl Stream {
    fn label(self) -> &'static str {
        match self {
            Stream::Workflow => "mainspring:workflow/random",
            Stream::Wasi => "wasi:random/random",
            Stream::WasiInsecure => "wasi:random/insecure",
        }
    }
}

/// The streams of one run. One that is never drawn from costs nothing.
#[derive(Debug, Default)]
pub struct Streams {
    seed: String,
    streams: [Option<Box<ChaCha20Rng>>; 3],
}

impl Streams {
    /// The streams of a run: `seed` is its original run id, which a reset keeps.
    pub fn new(seed: &str) -> Streams {
        Streams { seed: seed.to_owned(), streams: Default::default() }
    }

    /// Begins all streams anew: after a reset a run must not repeat what it drew before.
    pub fn reseed(&mut self, seed: &str) {
        *self = Streams::new(seed);
    }

    pub fn bytes(&mut self, stream: Stream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream(stream).fill_bytes(&mut bytes);
        bytes
    }

    pub fn number(&mut self, stream: Stream) -> u64 {
        self.stream(stream).next_u64()
    }

    /// What seeds a language's hash maps. The same at every call.
    pub fn insecure_seed(&self) -> (u64, u64) {
        let seed = seed("wasi:random/insecure-seed", &self.seed);
        let [mut low, mut high] = [[0; 8]; 2];
        low.copy_from_slice(&seed[..8]);
        high.copy_from_slice(&seed[8..16]);
        (u64::from_le_bytes(low), u64::from_le_bytes(high))
    }

    fn stream(&mut self, stream: Stream) -> &mut ChaCha20Rng {
        let seed_text = &self.seed;
        self.streams[stream as usize]
            .get_or_insert_with(|| Box::new(ChaCha20Rng::from_seed(seed(stream.label(), seed_text))))
    }
}

fn seed(label: &str, run: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    // A label holds no zero byte, so no two pairs of label and run are hashed alike.
    hash.update(label);
    hash.update([0]);
    hash.update(run);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_run_draws_the_same_bytes() {
        let [mut first, mut second] = [Streams::new("run"), Streams::new("run")];
        assert_eq!(first.bytes(Stream::Workflow, 100), second.bytes(Stream::Workflow, 100));
        assert_eq!(first.insecure_seed(), second.insecure_seed());
    }

    #[test]
    fn streams_do_not_disturb_each_other() {
        let [mut first, mut second] = [Streams::new("run"), Streams::new("run")];
        first.bytes(Stream::Wasi, 1_000);
        first.number(Stream::WasiInsecure);
        assert_eq!(first.number(Stream::Workflow), second.number(Stream::Workflow));
        assert_ne!(first.bytes(Stream::Wasi, 16), second.bytes(Stream::WasiInsecure, 16));
    }

    #[test]
    fn every_run_and_every_reset_draws_other_bytes() {
        let mut streams = Streams::new("run");
        let before = streams.bytes(Stream::Workflow, 16);
        streams.reseed("reset");
        assert_ne!(before, streams.bytes(Stream::Workflow, 16));
    }

    /// These bytes are in people's journals.
    #[test]
    fn the_streams_never_change() {
        let mut streams = Streams::new("0b9ff7a1-7c5d-4c0c-8a7e-2f4a5cb2c9d1");
        let drawn: Vec<_> = [Stream::Workflow, Stream::Wasi, Stream::WasiInsecure]
            .map(|stream| hex::encode(streams.bytes(stream, 8)))
            .into();
        assert_eq!(drawn, ["1e4970d598f3bf44", "3d06ba65d8400b0d", "5b7538e391e4d6e9"]);
    }
}
