//! The coin that is tossed before a span is built.

use std::fmt;

/// Says yes to a fixed share of questions. Cheap: a thread-local random number, no lock.
///
/// The default says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampler(Chance);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Chance {
    #[default]
    Never,
    /// Yes if a random `u64` is below this.
    Below(u64),
    Always,
}

impl Sampler {
    /// Says yes to `ratio` of all questions: 0.0 is never, 1.0 always.
    ///
    /// # Errors
    ///
    /// A ratio that is not a number or lies outside 0.0 to 1.0.
    pub fn ratio(ratio: f64) -> Result<Self, InvalidRatio> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(InvalidRatio(ratio));
        }
        Ok(Self(if ratio == 0.0 {
            Chance::Never
        } else if ratio == 1.0 {
            Chance::Always
        } else {
            // Below 1.0 the product is below 2^64; the cast only cuts the fraction.
            Chance::Below((ratio * 2f64.powi(64)) as u64)
        }))
    }

    /// Tosses the coin.
    #[must_use]
    pub fn sample(&self) -> bool {
        match self.0 {
            Chance::Never => false,
            Chance::Below(threshold) => fastrand::u64(..) < threshold,
            Chance::Always => true,
        }
    }
}

/// A sampling ratio that is not a number or lies outside 0.0 to 1.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InvalidRatio(
    /// The ratio that was refused.
    pub f64,
);

impl fmt::Display for InvalidRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a ratio from 0.0 to 1.0, found {}", self.0)
    }
}

impl std::error::Error for InvalidRatio {}

#[cfg(test)]
mod tests {
    use super::*;

    fn yeses(ratio: f64, questions: usize) -> usize {
        let sampler = Sampler::ratio(ratio).unwrap();
        (0..questions).filter(|_| sampler.sample()).count()
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(yeses(0.0, 10_000), 0);
        assert_eq!(yeses(-0.0, 10_000), 0);
        assert_eq!(yeses(1.0, 10_000), 10_000);
    }

    #[test]
    fn the_middle_is_about_right() {
        // Ten standard deviations either side.
        let yeses = yeses(0.25, 100_000);
        assert!((23_600..26_400).contains(&yeses), "{yeses}");
    }

    #[test]
    fn what_is_no_ratio_is_refused() {
        for ratio in [f64::NAN, -0.1, 1.000_001, f64::INFINITY] {
            let error = Sampler::ratio(ratio).unwrap_err();
            assert!(error.to_string().contains("from 0.0 to 1.0"), "{error}");
        }
    }
}
