//! Opens the place where Carnet keeps conversations, where the configuration says that it does.

use std::sync::Arc;

use carnet_admin::Conversations;
use carnet_gateway::Gateway;

use crate::config::Config;
use crate::state::{State, random, write_secret};
use crate::trouble::{Trouble, Troubles};
use crate::{out, world};

/// Where it lies, for a configuration that turns it on later.
#[derive(Debug)]
pub(crate) struct Place {
    gateway: Arc<Gateway>,
    state: State,
}

impl Place {
    /// Open it for a server that starts. Where nothing more is to be kept, what is still there goes at its time.
    pub(crate) fn start(
        gateway: Arc<Gateway>,
        state: &State,
        config: &Config,
    ) -> Result<Self, Troubles> {
        let place = Self {
            gateway,
            state: state.clone(),
        };
        place.prepare(config)?;
        let left = config.gateway.conversations.is_none() && state.conversations().exists();
        if left && let Err(troubles) = place.open() {
            for trouble in troubles {
                out::note(format_args!(
                    "warning: conversations that were kept stay: {}",
                    trouble.message
                ));
            }
        }
        Ok(place)
    }

    /// Have it open before a configuration is in force that keeps conversations.
    pub(crate) fn prepare(&self, config: &Config) -> Result<(), Troubles> {
        if config.gateway.conversations.is_none() || self.gateway.has_conversations() {
            return Ok(());
        }
        self.open()
    }

    fn open(&self) -> Result<(), Troubles> {
        let key = key(&self.state)?;
        let store = Conversations::open(&self.state.conversations())
            .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
        self.gateway.open_conversations(Arc::new(store), key);
        Ok(())
    }
}

/// The key that seals them: made the first time.
fn key(state: &State) -> Result<[u8; 32], Troubles> {
    let file = state.conversations_key();
    let help = "restore it from your backup, or remove it and conversations.db, which cannot be read without it";
    if !file.exists() {
        let secret = random::<32>()?;
        write_secret(&file, &hex::encode(secret))
            .map_err(|error| Trouble::io("write the key of conversations", &file, &error, help))?;
    }
    let text = world::read_text(&file)?;
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret).map_err(|_| {
        vec![Trouble::new(
            format!("the key of conversations `{}` is damaged", file.display()),
            help,
        )]
    })?;
    Ok(secret)
}
