//! Which endpoint: of two at random, the one with fewer calls in flight.
//!
//! It is told apart per call, spreads without any state, and leaves a slow endpoint to itself as its
//! calls pile up.

/// What is known of an endpoint that has a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Place in the list.
    pub(super) index: usize,
    /// Neither ejected nor unwell.
    pub(super) is_good: bool,
    /// Another one failed the call before.
    pub(super) is_avoided: bool,
    pub(super) in_flight: usize,
}

/// Chooses: good ones first, then any; one to be avoided only if there is no other. `None`: there is
/// none at all. `random` gives a number below its argument.
pub(super) fn pick(
    candidates: &[Candidate],
    mut random: impl FnMut(usize) -> usize,
) -> Option<usize> {
    let tiers: [fn(&Candidate) -> bool; 3] = [
        |candidate| candidate.is_good && !candidate.is_avoided,
        |candidate| !candidate.is_avoided,
        |_| true,
    ];
    let tier = tiers.into_iter().find(|tier| candidates.iter().any(tier))?;
    let count = candidates.iter().filter(|one| tier(one)).count();
    let nth = |n: usize| candidates.iter().filter(|one| tier(one)).nth(n);
    let first = random(count);
    let mut second = random(count.saturating_sub(1).max(1));
    if second >= first && count > 1 {
        second += 1;
    }
    let two = [nth(first)?, nth(second)?];
    let least = two.into_iter().min_by_key(|one| one.in_flight)?;
    Some(least.index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good(index: usize, in_flight: usize) -> Candidate {
        Candidate {
            index,
            is_good: true,
            is_avoided: false,
            in_flight,
        }
    }

    #[test]
    fn the_less_busy_of_two_is_chosen() {
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let two = [good(0, 3), good(1, 2)];
            assert_eq!(pick(&two, |below| rng.usize(..below)), Some(1));
        }
    }

    #[test]
    fn the_load_spreads_over_all() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut in_flight = [0; 5];
        for _ in 0..1000 {
            let candidates: Vec<_> = (0..5).map(|n| good(n, in_flight[n])).collect();
            in_flight[pick(&candidates, |below| rng.usize(..below)).unwrap()] += 1;
        }
        assert!(
            in_flight.iter().all(|n| (190..=210).contains(n)),
            "{in_flight:?}"
        );
    }

    proptest! {
        #[test]
        fn the_best_tier_is_used(
            flags in prop::collection::vec((any::<bool>(), any::<bool>()), 0..6),
            seed: u64,
        ) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let candidates: Vec<_> = flags
                .iter()
                .enumerate()
                .map(|(index, (is_good, is_avoided))| Candidate {
                    index,
                    is_good: *is_good,
                    is_avoided: *is_avoided,
                    in_flight: 0,
                })
                .collect();
            let picked = pick(&candidates, |below| rng.usize(..below));
            let Some(picked) = picked.map(|index| candidates[index]) else {
                prop_assert!(candidates.is_empty());
                return Ok(());
            };
            if picked.is_avoided {
                prop_assert!(candidates.iter().all(|one| one.is_avoided));
            } else if !picked.is_good {
                prop_assert!(candidates.iter().all(|one| !one.is_good || one.is_avoided));
            }
        }
    }
}
