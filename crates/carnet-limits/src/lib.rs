//! Keys and workload identities as pure state, with no I/O.
