//! Tables of what a scan accepts, refuses, finds and edits.

mod grammar;
mod splicing;
mod watched;

use super::{Scan, ScanError, Watch, scan};
use crate::limits::MAX_DEPTH;

fn scan_for(body: &str, paths: &[&str]) -> Result<Scan, ScanError> {
    scan(body.as_bytes(), &Watch::new(paths).unwrap(), MAX_DEPTH)
}
