//! Drive the solver: prove a property of policies for every request that could ever be, or find one
//! that breaks it. So far: what a property is, and how it is read.

mod condition;
pub mod limits;
mod problem;
mod property;

pub use condition::Condition;
pub use problem::{Part, PropertyProblem};
pub use property::{Claim, Pack, Property};
