//! Exit codes of every command: 0 good, 1 bad, 2 usage or input error, 3 unknown.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Permitted, clean, verified, every line answered.
    Good,
    /// Denied, unsafe, verification failed, differences found.
    Bad,
    /// Usage, configuration or input/output error.
    Error,
    /// Inconclusive or unknown.
    Unknown,
}

impl Exit {
    /// The code of several inputs together: 2 beats 1 beats 3 beats 0.
    pub(crate) fn worst(self, other: Self) -> Self {
        if self.rank() >= other.rank() {
            self
        } else {
            other
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Unknown => 1,
            Self::Bad => 2,
            Self::Error => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Error => 2,
            Exit::Unknown => 3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_beats_one_beats_three_beats_nought() {
        let order = [Exit::Good, Exit::Unknown, Exit::Bad, Exit::Error];
        for (low, lesser) in order.iter().enumerate() {
            for greater in order.iter().skip(low) {
                assert_eq!(lesser.worst(*greater), *greater);
                assert_eq!(greater.worst(*lesser), *greater);
            }
        }
    }
}
