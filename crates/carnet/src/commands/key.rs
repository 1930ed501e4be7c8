//! `carnet key`: through the running server if there is one, else in the store itself.

use std::io::ErrorKind;
use std::path::Path;

use carnet_admin::answers::{KeyAnswer, NewKeyAnswer};
use carnet_admin::{Client, StateLock, Store};
use carnet_limits::KeyId;

use crate::cli::KeyCommand;
use crate::exit::Exit;
use crate::state::{SecretFile, State};
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out};

pub(crate) fn run(command: &KeyCommand) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return commands::failed(&vec![Trouble::new(
                format!("cannot start: {error}"),
                "try again",
            )]);
        }
    };
    runtime
        .block_on(dispatch(command))
        .unwrap_or_else(|troubles| commands::failed(&troubles))
}

async fn dispatch(command: &KeyCommand) -> Result<Exit, Troubles> {
    match command {
        KeyCommand::Create {
            workload,
            note,
            state,
            out,
            json,
        } => create(workload, note, state.as_deref(), out.as_deref(), *json).await,
        KeyCommand::List { state, json } => list(state.as_deref(), *json).await,
        KeyCommand::Revoke { id, state } => revoke(id, state.as_deref()).await,
    }
}

/// Who holds the keys right now.
enum Keys {
    Server(Client),
    /// No server runs; the lock keeps one from starting meanwhile.
    Store(Store, StateLock),
}

async fn keys(state: Option<&Path>) -> Result<Keys, Troubles> {
    let state = State::find(state)?;
    state.create()?;
    if let Some(client) = Client::connect(&state.socket())
        .await
        .map_err(admin_trouble)?
    {
        return Ok(Keys::Server(client));
    }
    let lock = StateLock::take(&state.socket())
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    Store::open(&state.database())
        .map(|store| Keys::Store(store, lock))
        .map_err(store_trouble)
}

fn admin_trouble(error: carnet_admin::ClientError) -> Troubles {
    vec![Trouble::new(error.to_string(), error.help())]
}

fn store_trouble(error: carnet_admin::StoreError) -> Troubles {
    vec![Trouble::new(error.to_string(), error.help())]
}

async fn create(
    workload: &str,
    note: &str,
    state: Option<&Path>,
    file: Option<&Path>,
    json: bool,
) -> Result<Exit, Troubles> {
    // The file comes first: a key whose secret nobody could keep is not made.
    let waiting = file.map(secret_file).transpose()?;
    let new = make(workload, note, state).await?;
    let NewKeyAnswer { key, secret } = &new;
    if let Some((waiting, file)) = waiting {
        let help = format!(
            "the key is made already: revoke it with `carnet key revoke {}`, and make another",
            key.id
        );
        waiting
            .keep(secret)
            .map_err(|error| Trouble::io("write the key", file, &error, &help))?;
        if json {
            return Ok(commands::json(key));
        }
        out::answer(format_args!(
            "wrote {} for workload `{}` to {}",
            key.id,
            key.workload,
            file.display()
        ));
        return Ok(Exit::Good);
    }
    if json {
        return Ok(commands::json(&new));
    }
    out::note(format_args!(
        "{} for workload `{}`; the secret is shown only now",
        key.id, key.workload
    ));
    out::answer(secret);
    Ok(Exit::Good)
}

fn secret_file(file: &Path) -> Result<(SecretFile<'_>, &Path), Troubles> {
    let waiting = SecretFile::create(file).map_err(|error| {
        let help = if error.kind() == ErrorKind::AlreadyExists {
            "it is there already and stays as it is; name a new file"
        } else {
            "check the path and its permissions"
        };
        Trouble::io("write the key", file, &error, help)
    })?;
    Ok((waiting, file))
}

async fn make(workload: &str, note: &str, state: Option<&Path>) -> Result<NewKeyAnswer, Troubles> {
    match keys(state).await? {
        Keys::Server(mut client) => client.create(workload, note).await.map_err(admin_trouble),
        Keys::Store(store, _lock) => {
            let (secret, record) = store
                .create(workload, note, clock::now())
                .map_err(store_trouble)?;
            Ok(NewKeyAnswer::new(&secret, &record))
        }
    }
}

async fn list(state: Option<&Path>, json: bool) -> Result<Exit, Troubles> {
    let keys: Vec<KeyAnswer> = match keys(state).await? {
        Keys::Server(mut client) => client.list().await.map_err(admin_trouble)?,
        Keys::Store(store, _lock) => store
            .records()
            .map_err(store_trouble)?
            .iter()
            .map(KeyAnswer::from)
            .collect(),
    };
    for key in &keys {
        if json {
            commands::json(key);
        } else {
            let state = key
                .revoked
                .map_or_else(|| "valid".to_owned(), |when| format!("revoked {when}"));
            out::answer(format_args!(
                "{}",
                format!("{}  {:<24} {state:<32} {}", key.id, key.workload, key.note).trim_end()
            ));
        }
    }
    if keys.is_empty() && !json {
        out::note("no key yet; `carnet key create --workload NAME` makes one");
    }
    Ok(Exit::Good)
}

async fn revoke(id: &str, state: Option<&Path>) -> Result<Exit, Troubles> {
    match keys(state).await? {
        Keys::Server(mut client) => {
            client.revoke(id).await.map_err(admin_trouble)?;
        }
        Keys::Store(store, _lock) => {
            store
                .revoke(&KeyId::from_text(id), clock::now())
                .map_err(store_trouble)?;
        }
    }
    out::answer(format_args!("{id} is revoked"));
    Ok(Exit::Good)
}
