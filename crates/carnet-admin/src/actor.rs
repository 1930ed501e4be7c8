//! Who or what caused a change, as the log tells it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A file that the generation in force was read from has changed.
    FileChange,
    /// A date: facts begin or end.
    Schedule,
    /// SIGHUP.
    Signal,
    /// Somebody with a token of an issuer.
    Person {
        /// The issuer's name with the token's subject.
        name: Arc<str>,
        /// Where the call came from.
        source: IpAddr,
    },
    /// A process on this machine, over the socket; the system vouches for its user.
    Socket {
        /// User id.
        uid: u32,
    },
    /// Somebody with the admin token.
    Token {
        /// Where the call came from.
        source: IpAddr,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileChange => f.write_str("a changed file"),
            Self::Schedule => f.write_str("the date of a fact"),
            Self::Signal => f.write_str("SIGHUP"),
            Self::Person { name, source } => {
                write!(f, "`{}` from {source}", name.escape_debug())
            }
            Self::Socket { uid } => write!(f, "user {uid} over the socket"),
            Self::Token { source } => write!(f, "the admin token from {source}"),
        }
    }
}
