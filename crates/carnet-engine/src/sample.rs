//! Picks the next token from the model's numbers.

use std::cmp::Ordering;

use crate::codes::Code;
use crate::refusal::Refusal;

/// How tokens are picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Numbers are divided by this before they become shares; at 0 the highest wins always.
    pub temperature: f32,
    /// Only the likeliest tokens whose shares together reach this are drawn from, 0 to 1.
    pub top_p: f32,
    /// Only so many of the likeliest tokens are drawn from; 0 for all.
    pub top_k: usize,
}

impl Default for Sampling {
    /// Temperature 1 over the whole vocabulary.
    fn default() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
        }
    }
}

impl Sampling {
    pub(crate) fn checked(self) -> Result<Sampling, Refusal> {
        let wrong = |place: &str, reason: String| {
            Refusal::new(
                Code::SettingInvalid,
                place,
                reason,
                "give a number in that range",
            )
        };
        if !(0.0..=10.0).contains(&self.temperature) {
            let reason = format!("is {}; it can be 0 to 10", self.temperature);
            return Err(wrong("temperature", reason));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let reason = format!("is {}; it can be above 0 and up to 1", self.top_p);
            return Err(wrong("top_p", reason));
        }
        Ok(self)
    }
}

/// Picks tokens for one answer; the same seed over the same numbers picks the same.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, seed: u64) -> Sampler {
        Sampler {
            sampling,
            state: seed,
        }
    }

    /// A token's id, from one number for each token; never `banned`.
    pub(crate) fn pick(&mut self, numbers: &[f32], banned: Option<u32>) -> Result<u32, Refusal> {
        if numbers.is_empty() || numbers.iter().any(|number| !number.is_finite()) {
            return Err(Refusal::new(
                Code::ComputeFailed,
                "forward pass",
                "the model gave numbers that are not finite",
                "the weights are damaged or too coarse: try the file anew, or another packing",
            ));
        }
        let all = (0u32..).zip(numbers.iter().copied());
        let mut all: Vec<(u32, f32)> = all.filter(|(id, _)| Some(*id) != banned).collect();
        if self.sampling.temperature == 0.0 {
            let best = all.into_iter().min_by(likelier);
            return Ok(best.map_or(0, |(id, _)| id));
        }
        self.narrow(&mut all);
        Ok(self.draw(&all))
    }

    /// Keeps the likeliest as `top_k` and `top_p` say, in order of likelihood if either does.
    fn narrow(&self, all: &mut Vec<(u32, f32)>) {
        let keep = self.sampling.top_k;
        if keep > 0 && keep < all.len() {
            all.select_nth_unstable_by(keep - 1, likelier);
            all.truncate(keep);
        }
        let shares_of = |all: &[(u32, f32)]| self.shares(all);
        if self.sampling.top_p < 1.0 {
            all.sort_unstable_by(likelier);
            let shares = shares_of(all);
            let wanted = shares.iter().sum::<f64>() * f64::from(self.sampling.top_p);
            let mut reached = 0.0;
            let enough = shares.iter().position(|share| {
                reached += share;
                reached >= wanted
            });
            all.truncate(enough.map_or(all.len(), |last| last + 1));
        }
    }

    /// Shares that do not yet sum to one.
    fn shares(&self, all: &[(u32, f32)]) -> Vec<f64> {
        let highest = all
            .iter()
            .map(|(_, n)| *n)
            .fold(f32::NEG_INFINITY, f32::max);
        let scale = f64::from(self.sampling.temperature);
        let share = |number: f32| (f64::from(number - highest) / scale).exp();
        all.iter().map(|(_, number)| share(*number)).collect()
    }

    fn draw(&mut self, all: &[(u32, f32)]) -> u32 {
        let shares = self.shares(all);
        let mut left = self.unit() * shares.iter().sum::<f64>();
        for ((id, _), share) in all.iter().zip(&shares) {
            left -= share;
            if left < 0.0 {
                return *id;
            }
        }
        // Rounding can leave a rest; it belongs to the last.
        all.last().map_or(0, |(id, _)| *id)
    }

    /// The next number of the sequence, from 0 and below 1 (SplitMix64: small, and the same on
    /// every machine and in every version).
    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The higher number first, and of equal ones the lower id, so that every order is the same order.
fn likelier(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, top_p: f32, top_k: usize, seed: u64) -> Sampler {
        let sampling = Sampling {
            temperature,
            top_p,
            top_k,
        };
        Sampler::new(sampling, seed)
    }

    #[test]
    fn zero_is_greedy_and_the_lower_id_wins_a_tie() {
        let mut greedy = sampler(0.0, 1.0, 0, 7);
        assert_eq!(greedy.pick(&[0.0, 3.0, 3.0], None), Ok(1));
        assert_eq!(greedy.pick(&[0.0, 3.0, 3.0], Some(1)), Ok(2));
    }

    #[test]
    fn shares_follow_the_numbers() {
        let numbers = [3f32.ln(), 0.0, -1e9];
        let mut drawn = [0u32; 3];
        let mut sampler = sampler(1.0, 1.0, 0, 1);
        for _ in 0..8_000 {
            drawn[sampler.pick(&numbers, None).unwrap() as usize] += 1;
        }
        assert!((5_800..6_200).contains(&drawn[0]), "{drawn:?}");
        assert_eq!(drawn[2], 0);
    }

    #[test]
    fn narrowing_leaves_only_the_likeliest() {
        let numbers = [1.0, 5.0, 4.9, 0.5];
        for (top_p, top_k) in [(0.6, 0), (1.0, 2), (0.9, 3)] {
            let mut sampler = sampler(1.0, top_p, top_k, 3);
            for _ in 0..500 {
                let id = sampler.pick(&numbers, None).unwrap();
                assert!([1, 2].contains(&id), "{top_p} {top_k}: {id}");
            }
        }
        let mut one = sampler(1.0, 0.01, 0, 3);
        assert_eq!(one.pick(&numbers, None), Ok(1));
    }

    #[test]
    fn a_seed_repeats() {
        let numbers: Vec<f32> = (0..50).map(|n| (n as f32).sin()).collect();
        let run = |seed| {
            let mut sampler = sampler(0.8, 0.95, 40, seed);
            let picks = (0..40).map(|_| sampler.pick(&numbers, None).unwrap());
            picks.collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn numbers_that_are_not_finite_are_an_error() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = sampler(0.0, 1.0, 0, 0).pick(&[0.0, bad], None);
            assert_eq!(error.map_err(|e| e.code), Err(Code::ComputeFailed));
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (temperature, top_p) in [
            (-1.0, 1.0),
            (f32::NAN, 1.0),
            (11.0, 1.0),
            (1.0, 0.0),
            (1.0, 1.1),
        ] {
            let sampling = Sampling {
                temperature,
                top_p,
                top_k: 0,
            };
            let error = sampling.checked().map_err(|e| e.code);
            assert_eq!(error, Err(Code::SettingInvalid), "{temperature} {top_p}");
        }
    }
}
