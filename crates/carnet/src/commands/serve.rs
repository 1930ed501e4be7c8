//! `carnet serve`: opens everything in order, runs the listeners, drains at the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use carnet_admin::{Access, Admin, AdminSocket, Store, reloads};
use carnet_audit::{Log, Options};
use carnet_gateway::config::ListenerTls;
use carnet_gateway::{
    Exporter, Gateway, Generation, ListenFailed, Listener, ListenerPem, Telemetry, TelemetryFiles,
};
use carnet_limits::KeyRing;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::cli::ServeArgs;
use crate::config::{Config, Given};
use crate::engine::Engines;
use crate::exit::Exit;
use crate::reload::{Fixed, Reloader, Sources, Taken};
use crate::state::{State, random};
use crate::trouble::{Trouble, Troubles};
use crate::watched::Watched;
use crate::{
    clock, commands, conversations, counted, demo, loaded, log_key, out, state_ids, suspended,
    world,
};

/// The configuration that is looked for when none is named.
const DEFAULT_CONFIG: &str = "carnet.toml";

/// Where a running server says that requests are taken, for programs that started it.
#[derive(Serialize)]
struct Ready {
    data: SocketAddr,
    admin: SocketAddr,
    tls: bool,
    generation: u64,
    recovered_interrupted: u64,
}

pub(crate) fn run(args: &ServeArgs) -> Exit {
    take_files();
    // On one core, threads would only hand each other what one of them can do at once.
    let alone = match args.threads {
        Some(threads) => threads == 1,
        None => thread::available_parallelism().is_ok_and(|cores| cores.get() == 1),
    };
    let mut runtime = if alone {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    if let Some(threads) = args.threads {
        runtime.worker_threads(usize::from(threads));
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let trouble = Trouble::new(
                format!("cannot start threads: {error}"),
                "check the limits of this user (`ulimit -u`)",
            );
            return commands::failed(&vec![trouble]);
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => Exit::Good,
        Err(troubles) => commands::failed(&troubles),
    }
}

/// Have as many files open as the hard limit allows. The soft one is low for the sake of programs that use `select`, and
/// each request has two connections.
fn take_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "no more files can be open than the soft limit allows");
    }
}

async fn serve(args: &ServeArgs) -> Result<(), Troubles> {
    let now = clock::now();
    clock::check(now).map_err(|trouble| vec![trouble])?;
    warn_of_proxy_variables();
    let state = State::find(args.place.state.as_deref())?;
    state.create()?;
    // They are watched from the start, so that a first bundle is seen too.
    state.create_registry()?;
    // Only the default file may be missing; one that was named must be there.
    let default = PathBuf::from(DEFAULT_CONFIG);
    let file = args
        .place
        .config
        .clone()
        .or_else(|| default.exists().then_some(default));
    let demo = file.is_none();
    let sources = Sources {
        file,
        given: Given {
            listen: args.listen.clone(),
            admin_listen: args.admin_listen.clone(),
            model: args.model.clone(),
            overlay: args.overlay.clone(),
        },
        state: state.clone(),
    };
    let mut loaded = loaded::load_to_start(sources.draft()?, now)?;
    loaded.config.place_engines(&state);
    let telemetry_files = std::mem::take(&mut loaded.telemetry);
    // Takes the state for this process alone, before anything in it is read.
    let socket = AdminSocket::bind(&state.socket())
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    state.bring_up()?;
    let store = open_store(&state)?;
    if demo {
        demo::prepare_key(&state, &store, now)?;
    }
    let (generation, config) = loaded.build(keys(&store)?, None)?;
    note_strange_keys(&generation);
    // They load while the rest is opened.
    let engines = Arc::new(Engines::new(&state));
    engines.start(&config.engines).await;
    let (log, recovered) = open_log(&state, &config, args.repair_log)?;
    let (data, admin_socket) = listeners(&config)?;
    engines.settled().await?;
    let gateway = Arc::new(Gateway::new(generation, log.clone(), clock::now, seed()?));
    suspended::take_over(&gateway, &state.suspended())?;
    state_ids::take_over(&gateway, &store, now)?;
    counted::take_over(&gateway, &store, now)?;
    let conversations = conversations::Place::start(gateway.clone(), &state, &config)?;
    let access_log = AccessLog::open(&config.gateway.server.access_log, &gateway)?;
    let exporter = telemetry(&config, telemetry_files, &gateway)?;
    gateway.record_start(recovered.interrupted);
    let watched = watched(&config, sources.file.as_deref(), &state);
    let access = Access::open(
        &state.admin_token(),
        &state.metrics_token(),
        config.admin_names.clone(),
    )
    .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    let (asks, asked) = reloads();
    let admin = Admin::new(gateway.clone(), store.clone(), asks, access);
    let kept = store.clone();
    let reloader = Reloader::new(
        gateway.clone(),
        admin.clone(),
        Taken {
            sources,
            store,
            fixed: Fixed::of(&config),
            engines: engines.clone(),
            conversations,
        },
        asked,
    )?;
    let bound = addresses(&data, &admin_socket)?;
    // Before anybody is told that we run, so that a signal right after that finds its handler.
    let signals = Signals::new()?;
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = tokio::task::JoinSet::new();
    // The admin side outlives the draining: a key revoked meanwhile still cuts its answers.
    tasks.spawn(admin.clone().serve_unix(socket, ended.clone()));
    tasks.spawn(admin.serve_tcp(admin_socket, ended.clone()));
    tasks.spawn(reloader.run(watched, ended.clone()));
    tasks.spawn(record_strangers(gateway.clone(), ended.clone()));
    tasks.spawn(state_ids::keep(
        gateway.clone(),
        kept.clone(),
        ended.clone(),
    ));
    tasks.spawn(counted::keep(gateway.clone(), kept, ended.clone()));
    tasks.spawn(carnet_gateway::keep_conversations(
        gateway.clone(),
        ended.clone(),
    ));
    tasks.spawn(suspended::keep(
        gateway.clone(),
        state.suspended(),
        ended.clone(),
    ));
    if let Some(exporter) = exporter {
        tasks.spawn(exporter.run(gateway.clone(), ended.clone()));
    }
    announce(
        args,
        &config,
        demo,
        &state,
        &gateway,
        bound,
        recovered.interrupted,
    );
    let serving = tokio::spawn(carnet_gateway::serve(gateway.clone(), data, stop.clone()));
    tell(sd_notify::NotifyState::Ready);
    signals.wait().await;
    tell(sd_notify::NotifyState::Stopping);
    out::note("stopping: no new requests; running ones may end");
    stop.cancel();
    let cut = serving.await.unwrap_or_default();
    if cut > 0 {
        out::note(format_args!("{cut} requests had to be cut"));
    }
    engines.stop().await;
    ended.cancel();
    while tasks.join_next().await.is_some() {}
    if let Some(access_log) = access_log {
        access_log.close();
    }
    gateway.record_strangers();
    gateway.record_stop();
    log.close().await.map_err(|error| {
        vec![Trouble::new(
            format!("the log could not be closed: {error}"),
            "its records are in the journal; the next start takes them over",
        )]
    })
}

/// Begin to follow requests in traces, if a collector is told of them.
fn telemetry(
    config: &Config,
    files: TelemetryFiles,
    gateway: &Gateway,
) -> Result<Option<Exporter>, Troubles> {
    let Some(settings) = &config.gateway.telemetry else {
        return Ok(None);
    };
    let instance = hex::encode(random::<16>()?);
    let both = Telemetry::new(settings, files, (seed()?, &instance), clock::now());
    let (telemetry, exporter) = both.map_err(|problem| {
        vec![Trouble::new(
            problem.to_string(),
            "correct the section [telemetry], or the file that it names",
        )]
    })?;
    gateway.open_telemetry(telemetry);
    Ok(Some(exporter))
}

fn open_store(state: &State) -> Result<Arc<Store>, Troubles> {
    Store::open(&state.database())
        .map(Arc::new)
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])
}

/// The keys as a ring.
pub(crate) fn keys(store: &Store) -> Result<KeyRing, Troubles> {
    store
        .records()
        .map(KeyRing::new)
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])
}

fn note_strange_keys(generation: &Generation) {
    let workloads: Vec<&str> = generation.workloads().collect();
    for key in generation
        .keys()
        .iter()
        .filter(|key| key.revoked.is_none() && !workloads.contains(&&*key.workload))
    {
        out::note(format_args!(
            "warning: {} belongs to workload `{}`, which the configuration does not name; its requests are refused",
            key.id, key.workload
        ));
    }
}

fn open_log(
    state: &State,
    config: &Config,
    repair: bool,
) -> Result<(Log, carnet_audit::Recovered), Troubles> {
    let signer = log_key::open(state)?;
    let options = Options {
        durability: config.gateway.audit.durability,
        max_open: config.gateway.audit.open_max,
        repair,
        ..Options::default()
    };
    Log::open(&state.audit(), signer, options, clock::now)
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])
}

fn seed() -> Result<u64, Troubles> {
    random().map(u64::from_le_bytes)
}

/// Both sockets are opened before anything is announced, so a taken port stops the start.
fn listeners(config: &Config) -> Result<(Listener, tokio::net::TcpListener), Troubles> {
    let server = &config.gateway.server;
    let pem = server.tls.as_ref().map(read_pem).transpose()?;
    let tls = pem.as_ref().map(|(cert, key, clients)| ListenerPem {
        cert,
        key,
        clients: clients
            .as_ref()
            .map(|(pem, required)| (&pem[..], *required)),
    });
    let help = "end the program that has it, or choose another address: `listen` in carnet.toml, --listen or --admin-listen";
    let mut handed = Handed::take()?;
    let data = match handed.data.take() {
        Some(socket) => Listener::over(socket, tls),
        None => Listener::bind(server.listen, tls),
    };
    let data = data.map_err(|error| {
        let help = match (&error, &server.tls) {
            (ListenFailed::Handed(_), _) => HANDED_HELP.to_owned(),
            (ListenFailed::Bind { .. }, _) | (_, None) => help.to_owned(),
            (
                ListenFailed::Authorities { .. },
                Some(ListenerTls {
                    clients: Some(clients),
                    ..
                }),
            ) => format!(
                "check the certificates of authorities in `{}`, PEM",
                clients.file.display()
            ),
            (_, Some(tls)) => format!(
                "check the certificate chain `{}` and the key `{}`, both PEM",
                tls.files.cert.display(),
                tls.files.key.display()
            ),
        };
        vec![Trouble::new(error.to_string(), help)]
    })?;
    let admin = match handed.admin.take() {
        Some(socket) => Ok(socket),
        None => std::net::TcpListener::bind(config.admin),
    };
    let admin = admin
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .and_then(tokio::net::TcpListener::from_std)
        .map_err(|error| {
            vec![Trouble::new(
                format!("cannot listen on {}: {error}", config.admin),
                help,
            )]
        })?;
    Ok((data, admin))
}

type Pem = (Vec<u8>, Vec<u8>, Option<(Vec<u8>, bool)>);

/// Chain, key, and the authorities of callers if they are asked for certificates.
fn read_pem(tls: &ListenerTls) -> Result<Pem, Troubles> {
    let clients = match &tls.clients {
        Some(clients) => Some((world::read_bytes(&clients.file)?, clients.required)),
        None => None,
    };
    let own = &tls.files;
    Ok((
        world::read_bytes(&own.cert)?,
        world::read_bytes(&own.key)?,
        clients,
    ))
}

/// Sockets that a service manager holds open for us, so that callers wait in their queues while we restart
/// (sd_listen_fds(3)): the data listener's first, then the administrators'.
#[derive(Default)]
struct Handed {
    data: Option<std::net::TcpListener>,
    admin: Option<std::net::TcpListener>,
}

const HANDED_HELP: &str = "hand over one or two listening TCP sockets: first the data listener's, then the administrators'";

impl Handed {
    fn take() -> Result<Self, Troubles> {
        let mut sockets = listenfd::ListenFd::from_env();
        if sockets.len() > 2 {
            let message = format!("{} sockets were handed over", sockets.len());
            return Err(vec![Trouble::new(message, HANDED_HELP)]);
        }
        let mut next = |place| {
            sockets.take_tcp_listener(place).map_err(|error| {
                let message = format!("a socket that was handed over cannot be used: {error}");
                vec![Trouble::new(message, HANDED_HELP)]
            })
        };
        Ok(Self {
            data: next(0)?,
            admin: next(1)?,
        })
    }
}

/// Tell the service manager, if there is one, how far we are (sd_notify(3)).
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn addresses(
    data: &Listener,
    admin: &tokio::net::TcpListener,
) -> Result<(SocketAddr, SocketAddr), Troubles> {
    let both = data
        .address()
        .and_then(|data| Ok((data, admin.local_addr()?)));
    both.map_err(|error| {
        vec![Trouble::new(
            format!("a listener has no address: {error}"),
            "start again",
        )]
    })
}

fn announce(
    args: &ServeArgs,
    config: &Config,
    demo: bool,
    state: &State,
    gateway: &Gateway,
    (data, admin): (SocketAddr, SocketAddr),
    interrupted: u64,
) {
    let tls = config.gateway.server.tls.is_some();
    if args.ready_json {
        commands::json(&Ready {
            data,
            admin,
            tls,
            generation: gateway.generation().number(),
            recovered_interrupted: interrupted,
        });
        return;
    }
    if interrupted > 0 {
        out::note(format_args!(
            "{interrupted} requests were interrupted by the last end of the server; the log says so"
        ));
    }
    let scheme = if tls { "https" } else { "http" };
    if demo {
        let model = config.engines.first().map_or("", |engine| &engine.model);
        let given = args.place.state.as_deref();
        demo::announce(state, given, data, Path::new(DEFAULT_CONFIG), model);
        return;
    }
    out::answer(format_args!(
        "carnet {} is ready\n  applications  {scheme}://{data}/v1\n  admin         http://{admin}  (token in {})\n  packs         {}\n  records       {}",
        env!("CARGO_PKG_VERSION"),
        state.admin_token().display(),
        config.packs.join(", "),
        state.audit().display(),
    ));
    if gateway.generation().keys().is_empty() {
        out::answer("  no key yet: carnet key create --workload NAME");
    }
}

/// A proxy from the environment would lead prompts past the configuration.
fn warn_of_proxy_variables() {
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
            out::note(format_args!(
                "warning: {name} is set and ignored; name a proxy in the upstream's entry (`proxy = \"http://…\"`)"
            ));
        }
    }
}

/// The signals that ask for an end in good order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Troubles> {
        let trouble = |error: std::io::Error| {
            vec![Trouble::new(
                format!("cannot listen for signals: {error}"),
                "start again",
            )]
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(trouble)?,
            interrupt: signal(SignalKind::interrupt()).map_err(trouble)?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn record_strangers(gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut every = tokio::time::interval(carnet_gateway::limits::STRANGER_RECORD_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => gateway.record_strangers(),
            () = stop.cancelled() => return,
        }
    }
}

/// The folders in which everything lies that a reload reads: the files of a configuration, and
/// installed registries. The demonstration has no files of its own.
pub(crate) fn watched(config: &Config, file: Option<&Path>, state: &State) -> Watched {
    let mut watched = Watched::default();
    for folder in [state.registry_folder(), state.registry_keys()] {
        watched.add_folder(&folder);
    }
    if file.is_none() {
        return watched;
    }
    let mut add = |path: &Path| watched.add(path);
    if let Some(file) = file {
        add(file);
    }
    for path in &config.overlay {
        add(path);
    }
    if let Some(registry) = &config.registry {
        add(registry);
        // A registry's files lie one folder below it. A folder that cannot be read is a problem of
        // the next reload, which says so.
        let below = std::fs::read_dir(registry).into_iter().flatten().flatten();
        for entry in below.filter(|entry| entry.path().is_dir()) {
            add(&entry.path());
        }
    }
    for pack in &config.packs {
        let folder = config.base.join(pack);
        if folder.is_dir() {
            add(&folder);
        }
    }
    for issuer in &config.gateway.issuers {
        if let Some(path) = &issuer.ca_file {
            add(path);
        }
    }
    for upstream in &config.gateway.upstreams {
        if let Some(carnet_gateway::config::KeyRef::File(path)) = &upstream.key {
            add(path);
        }
        for path in upstream.ca_file.iter().chain(
            upstream
                .client_cert
                .iter()
                .flat_map(|tls| [&tls.cert, &tls.key]),
        ) {
            add(path);
        }
    }
    watched
}
