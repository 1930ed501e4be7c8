//! Bounds of this crate, each with its reason.

use std::time::Duration;

/// Time for a whole question when the caller names none: what a person waits for.
pub const TIME_DEFAULT: Duration = Duration::from_secs(60);

/// The longest time for a question: nobody waits for more, and a sum with it cannot overflow.
pub const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Time for the solver to say its version, which takes it some milliseconds.
pub const VERSION_TIME_MAX: Duration = Duration::from_secs(10);

/// Address space of the solver's process. Questions over packs of 200 rules took it 0.3 GB.
pub const SOLVER_BYTES_MAX: u64 = 4 << 30;

/// Bytes of one answer of the solver. A model of a request with all its facts has some thousands.
pub const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a condition. Cedar's parser builds trees of several times that size.
pub const CONDITION_BYTES_MAX: usize = 64 << 10;

/// How deep brackets may nest in a condition. Cedar's parser overflows a stack of 2 MiB at about 200.
pub const NESTING_MAX: usize = 64;

/// Operators of a condition, each half of `&&` and each `.` counted. A chain of some 700 `||` overflows a
/// stack of 2 MiB.
pub const OPERATORS_MAX: usize = 512;

/// Stack of the thread that asks. Compiler and encoder are recursive, and the conjunction of many
/// rules is one deep tree; the pages that it does not touch cost nothing.
pub const STACK_BYTES: usize = 256 << 20;
