//! Turn facts and the operator's rules into a decision with reasons and obligations.
