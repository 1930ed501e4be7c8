//! Load a small language model from its files and run it on the CPU.
//!
//! A model is a folder with safetensors files or one GGUF file. Before a weight is read, headers, sizes,
//! tokenizer and chat template are checked against each other and against bounds; while weights are read,
//! each is checked for shape, type and finiteness. What does not pass is refused with a stable code, the
//! place, the reason and what to do ([`Refusal`]).
//!
//! An answer is made one step at a time ([`Engine::start`], [`Generation::step`]) or with a callback:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use carnet_engine::{Chat, Engine, Input, LoadOptions, Message, Piece, Request};
//!
//! let engine = Engine::load(Path::new("models/small"), &LoadOptions::default())?;
//! let question = Message { role: "user".into(), content: "Why?".into(), fields: Vec::new() };
//! let chat = Chat { messages: vec![question], ..Chat::default() };
//! let mut answer = String::new();
//! let (finish, usage) = engine.generate(&Request::new(Input::Chat(chat)), &mut |pieces| {
//!     for piece in pieces {
//!         if let Piece::Content(text) = piece {
//!             answer.push_str(text);
//!         }
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! # Ok::<(), carnet_engine::Refusal>(())
//! ```
//!
//! It refuses to run code from a model's files, to guess a variant of the architecture that it does not
//! compute, and to let the text of a message pass for one of the tokens that separate messages. It starts
//! no processes, opens no connections, and listens only on the socket that [`serve`] is given.

mod architecture;
mod chat;
mod codes;
mod confine;
mod engine;
mod files;
mod generation;
mod gguf;
mod limits;
mod load;
mod model;
mod refusal;
mod safetensors;
mod sample;
mod server;
mod shield;
mod stop;
mod store;
mod template;
mod think;
mod tokens;
mod weights;

pub use chat::{Chat, Message};
pub use codes::Code;
pub use confine::close_inherited;
pub use engine::{Effort, Engine, Format, Input, Request};
pub use generation::{Finish, Generation, Usage};
pub use load::LoadOptions;
pub use refusal::Refusal;
pub use sample::Sampling;
pub use server::{Serving, serve};
pub use think::Piece;

#[cfg(test)]
mod tests;
