//! Drive the solver: prove a property of policies for every request that could ever be, or find one
//! that breaks it. So far: what a property is, how it is read, and the solver as a process.

mod condition;
pub mod limits;
mod problem;
mod process;
mod property;
mod solver;
mod thread;

pub use condition::Condition;
pub use problem::{Part, PropertyProblem};
pub use property::{Claim, Pack, Property};
pub use solver::{Solver, SolverProblem};
