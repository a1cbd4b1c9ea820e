//! The second opinion of `mqttbytes` about packets that were right before a few bytes changed.

use proptest::prelude::*;

use super::mutation::mutated;
use super::second_opinion;
use super::support::try_frame;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn the_second_opinion_differs_in_known_ways_only((from, version, bytes) in mutated()) {
        if let Ok(frame) = try_frame(from, &bytes) {
            second_opinion::compare(&frame, version);
        }
    }
}
