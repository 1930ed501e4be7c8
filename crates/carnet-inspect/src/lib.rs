//! Read weight files without running them; report findings.
//!
//! Loaders of weight files trust counts, lengths and offsets that the file itself states, and parsers of both formats
//! here have been led out of bounds by them. So before any loader sees a byte, these readers check the header: that
//! each number fits the file, each name occurs once, and the tensors tile the data without overlap, hole or rest. They
//! refuse what two loaders could read differently.
//!
//! Only the header is read, and the few bytes of padding, never a weight. Memory is bounded by [`Limits`], whatever
//! the file states. Nothing here opens a path, runs or unpickles anything, or says that the weights are good: a file
//! that passes is well formed, no more.
//!
//! The texts beside weights are read too: [`card`] takes the front matter of a model card, [`json`] a configuration, both
//! into a [`Tree`] that keeps a key as often as it stands there.
//!
//! ```
//! use std::io::Cursor;
//! use carnet_inspect::{Code, Limits, safetensors};
//!
//! let json = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
//! let mut file = (json.len() as u64).to_le_bytes().to_vec();
//! file.extend(json);
//! file.extend([0; 8]);
//!
//! let header = safetensors::read(&mut Cursor::new(&file), file.len() as u64, &Limits::default())?;
//! assert_eq!(header.tensors()[0].shape, [2]);
//!
//! file.push(0);
//! let longer = safetensors::read(&mut Cursor::new(&file), file.len() as u64, &Limits::default());
//! assert_eq!(longer.map_err(|finding| finding.code), Err(Code::SafetensorsTrailingData));
//! # Ok::<(), carnet_inspect::Finding>(())
//! ```

pub mod card;
mod codes;
mod finding;
pub mod gguf;
pub mod json;
pub mod limits;
pub mod safetensors;
mod tiling;
mod tree;

pub use codes::Code;
pub use finding::Finding;
pub use limits::Limits;
pub use tree::Tree;
