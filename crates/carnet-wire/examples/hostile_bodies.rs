//! Writes hostile request bodies with this crate's verdicts, for parsers in other languages to check.
//!
//! Arguments: seed, count, file. `tests/differential.py` and `tests/differential.mjs` read the file.

#![expect(
    clippy::indexing_slicing,
    reason = "the generator belongs to the tests and fails loudly"
)]

#[path = "../tests/hostile/mod.rs"]
mod hostile;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(seed), Some(count), Some(path), None) =
        (args.next(), args.next(), args.next(), args.next())
    else {
        return Err("usage: hostile_bodies SEED COUNT FILE".into());
    };
    let mut out = BufWriter::new(File::create(path)?);
    hostile::write(seed.parse()?, count.parse()?, &mut out)?;
    Ok(())
}
