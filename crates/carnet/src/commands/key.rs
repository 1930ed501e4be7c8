//! `carnet key`: through the running server if there is one, else in the store itself.

use std::io::ErrorKind;
use std::path::Path;

use carnet_admin::answers::{KeyAnswer, NewKey, NewKeyAnswer, RotateKey};
use carnet_admin::{Client, StateLock, Store};
use carnet_limits::KeyId;
use jiff::Timestamp;

use crate::cli::{CreateArgs, KeyCommand, RotateArgs, Told};
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
        KeyCommand::Create(args) => create(args).await,
        KeyCommand::List { state, json } => list(state.as_deref(), *json).await,
        KeyCommand::Rotate(args) => rotate(args).await,
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
    state.bring_up()?;
    Store::open(&state.database())
        .map(|store| Keys::Store(store, lock))
        .map_err(store_trouble)
}

fn fault_trouble(fault: carnet_admin::Fault) -> Troubles {
    vec![Trouble::new(fault.message, fault.help)]
}

fn admin_trouble(error: carnet_admin::ClientError) -> Troubles {
    vec![Trouble::new(error.to_string(), error.help())]
}

fn store_trouble(error: carnet_admin::StoreError) -> Troubles {
    vec![Trouble::new(error.to_string(), error.help())]
}

async fn create(args: &CreateArgs) -> Result<Exit, Troubles> {
    let now = clock::now();
    let new = NewKey {
        workload: args.workload.clone(),
        note: args.note.clone(),
        expires: args.expires.map(|when| when.instant(now)),
        scopes: args.scopes.clone(),
        models: args.models.clone(),
        networks: args.networks.clone(),
    };
    let terms = new.terms(now).map_err(fault_trouble)?;
    let made = async || match keys(args.told.state.as_deref()).await? {
        Keys::Server(mut client) => client.create(&new).await.map_err(admin_trouble),
        Keys::Store(store, _lock) => {
            let (secret, record) = store
                .create(&new.workload, &new.note, terms, now)
                .map_err(store_trouble)?;
            Ok(NewKeyAnswer::new(&secret, &record))
        }
    };
    hand_over(&args.told, made).await
}

async fn rotate(args: &RotateArgs) -> Result<Exit, Troubles> {
    let now = clock::now();
    let seconds = if args.now {
        0
    } else {
        // A part of a second is one, so that it does not become none.
        let part = i64::from(args.grace.subsec_nanos() > 0);
        args.grace.as_secs().saturating_add(part)
    };
    let rotate = RotateKey {
        grace_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        expires: args.expires.map(|when| when.instant(now)),
    };
    let rotation = rotate.rotation(now).map_err(fault_trouble)?;
    let made = async || match keys(args.told.state.as_deref()).await? {
        Keys::Server(mut client) => client
            .rotate(&args.id, &rotate)
            .await
            .map_err(admin_trouble),
        Keys::Store(store, _lock) => {
            let id = KeyId::from_text(&args.id);
            let (secret, record) = store.rotate(&id, &rotation, now).map_err(store_trouble)?;
            store.rotated(&record).map_err(store_trouble)?;
            Ok(NewKeyAnswer::new(&secret, &record))
        }
    };
    hand_over(&args.told, made).await
}

/// Have a secret made, and tell it once.
async fn hand_over(
    told: &Told,
    made: impl AsyncFnOnce() -> Result<NewKeyAnswer, Troubles>,
) -> Result<Exit, Troubles> {
    // The file comes first: a secret that nobody could keep is not made.
    let waiting = told.out.as_deref().map(secret_file).transpose()?;
    let new = made().await?;
    let NewKeyAnswer { key, secret } = &new;
    if let Some((waiting, file)) = waiting {
        let help = format!(
            "the secret is made already: make another with `carnet key rotate {} --now`",
            key.id
        );
        waiting
            .keep(secret)
            .map_err(|error| Trouble::io("write the key", file, &error, &help))?;
        if told.json {
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
    if told.json {
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
    let now = clock::now();
    for key in &keys {
        if json {
            commands::json(key);
        } else {
            let state = standing(key, now);
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

/// How a key stands, for people; the JSON has all of it.
fn standing(key: &KeyAnswer, now: Timestamp) -> String {
    let mut text = match (key.revoked, key.expires) {
        (Some(when), _) => return format!("revoked {when}"),
        (None, Some(when)) if when <= now => return format!("expired {when}"),
        (None, Some(when)) => format!("valid until {when}"),
        (None, None) => "valid".to_owned(),
    };
    let bounds = [&key.scopes, &key.models, &key.networks];
    if bounds.iter().any(|bound| !bound.is_empty()) {
        text.push_str(", bounded");
    }
    if key.former_until.iter().any(|until| now < *until) {
        text.push_str(", rotated");
    }
    text
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
