//! The fuzz body on mutations of every golden frame: a bounded number of cases, the same each time. `FASTBRIDGE_FUZZ` sets
//! another number. cargo-fuzz runs the same body: `cargo +nightly fuzz run decision` in `tests/`.

#![allow(clippy::unwrap_used)]

mod support;

use bridge_tests::model::fuzz::{TABLE_BYTES, one};
use fastrand::Rng;
use support::cases;

const CASES: usize = 200_000;

/// Bytes whose values decide much: lengths, versions, next headers.
const INTERESTING: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 17, 43, 44, 58, 60, 0x45, 0x60, 0x81, 0xff];

fn mutate(rng: &mut Rng, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = frames[rng.usize(..frames.len())].clone();
    for _ in 0..rng.usize(..4) {
        match rng.u8(..6) {
            0 => frame.truncate(rng.usize(..=frame.len())),
            1 => frame.extend((0..rng.usize(..40)).map(|_| rng.u8(..))),
            2 => {
                // The head of one, the tail of another.
                let other = &frames[rng.usize(..frames.len())];
                let at = rng.usize(..=frame.len().min(other.len()));
                frame.truncate(at);
                frame.extend(&other[at..]);
            }
            _ if frame.is_empty() => {}
            3 => {
                let at = rng.usize(..frame.len());
                frame[at] ^= 1 << rng.u8(..8);
            }
            _ => {
                let at = rng.usize(..frame.len());
                frame[at] = INTERESTING[rng.usize(..INTERESTING.len())];
            }
        }
    }
    frame
}

#[test]
fn invariants_hold_on_mutated_frames() {
    let count = std::env::var("FASTBRIDGE_FUZZ").ok().map_or(CASES, |text| text.parse().unwrap());
    let frames: Vec<Vec<u8>> = cases::all().into_iter().flat_map(|case| case.steps).map(|step| step.frame).collect();
    let mut rng = Rng::with_seed(1);
    let mut input = Vec::new();
    for number in 0..count {
        input.clear();
        input.extend((0..TABLE_BYTES).map(|_| rng.u8(..)));
        input.extend(mutate(&mut rng, &frames));
        let outcome = std::panic::catch_unwind(|| one(&input));
        assert!(outcome.is_ok(), "case {number}: {input:02x?}");
    }
}
