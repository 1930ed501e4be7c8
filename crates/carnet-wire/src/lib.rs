//! Read, write and edit provider API messages and streams, with no I/O.
