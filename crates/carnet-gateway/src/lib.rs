//! Run each live request through the stages, in order.
