//! Takes changed files over while the server runs: built aside, swapped whole, or reported.

use std::mem;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_admin::answers::{Problem, ReloadAnswer};
use carnet_admin::{Actor, Admin, Reloads, Store};
use carnet_gateway::config::{AccessLogTo, AuditConfig, ListenerTls, TelemetryConfig};
use carnet_gateway::{Gateway, Generation};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::commands::serve;
use crate::config::{Config, Draft, Given};
use crate::conversations::Place;
use crate::engine::Engines;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::watched::Watched;
use crate::{clock, demo, loaded, out};

/// A wait without an end, in practice.
const FOREVER: Duration = Duration::from_secs(3_600);
/// After a rebuild that failed, before the next one.
const AGAIN: Duration = Duration::from_secs(1);
/// How long changes may settle before the files are read.
const SETTLE: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Reloader {
    gateway: Arc<Gateway>,
    admin: Arc<Admin>,
    taken: Arc<Taken>,
    reloads: Reloads,
    hangup: Signal,
}

/// Where a configuration is read from.
pub(crate) struct Sources {
    /// Without a file it is the built-in demonstration.
    pub(crate) file: Option<PathBuf>,
    pub(crate) given: Given,
    pub(crate) state: State,
}

impl Sources {
    /// The configuration as it is written now.
    pub(crate) fn draft(&self) -> Result<Draft, Troubles> {
        let mut draft = match &self.file {
            Some(file) => Draft::open(file, &self.given)?,
            None => demo::draft(&self.given)?,
        };
        draft.state = Some(self.state.folder().to_path_buf());
        if let Some(model) = &self.given.model {
            draft.run_model(model, self.file.is_none())?;
        }
        Ok(draft)
    }
}

/// What a reload reads from and acts on.
pub(crate) struct Taken {
    pub(crate) sources: Sources,
    pub(crate) store: Arc<Store>,
    /// What a running server cannot change, as it was at the start.
    pub(crate) fixed: Fixed,
    pub(crate) engines: Arc<Engines>,
    pub(crate) conversations: Place,
}

/// Settings that only a start takes over.
#[derive(PartialEq)]
pub(crate) struct Fixed {
    listen: SocketAddr,
    admin: SocketAddr,
    tls: Option<ListenerTls>,
    audit: AuditConfig,
    access_log: AccessLogTo,
    telemetry: Option<TelemetryConfig>,
}

impl Fixed {
    pub(crate) fn of(config: &Config) -> Self {
        let server = &config.gateway.server;
        Self {
            listen: server.listen,
            admin: config.admin,
            tls: server.tls.clone(),
            audit: config.gateway.audit,
            access_log: server.access_log.clone(),
            telemetry: config.gateway.telemetry.clone(),
        }
    }
}

impl Taken {
    /// Read and check everything; with the folders to watch from now on.
    fn build(&self, current: &Generation) -> Result<(Generation, Config), Troubles> {
        let mut loaded = loaded::load(self.sources.draft()?, clock::now())?;
        if Fixed::of(&loaded.config) != self.fixed {
            out::note(
                "warning: listeners, TLS files, `[audit]`, access log and telemetry are taken over at the next start only",
            );
        }
        self.conversations.prepare(&loaded.config)?;
        loaded.config.place_engines(&self.sources.state);
        let (generation, config) = loaded.build(serve::keys(&self.store)?, Some(current))?;
        // Before a request is led there. Built where it may block.
        tokio::runtime::Handle::current().block_on(self.engines.start(&config.engines));
        Ok((generation, config))
    }
}

impl Reloader {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        admin: Arc<Admin>,
        taken: Taken,
        reloads: Reloads,
    ) -> Result<Self, Troubles> {
        let hangup = signal(SignalKind::hangup()).map_err(|error| {
            vec![Trouble::new(
                format!("cannot listen for signals: {error}"),
                "start again",
            )]
        })?;
        Ok(Self {
            gateway,
            admin,
            taken: Arc::new(taken),
            reloads,
            hangup,
        })
    }

    /// Run until `stop`, watching these files first.
    pub(crate) async fn run(mut self, watched: Watched, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let mut places = watched.places();
        let mut watcher = watch(watched, &changed);
        let mut previous = None;
        loop {
            let facts_end = self.facts_end();
            let mut asked = None;
            let actor = tokio::select! {
                () = stop.cancelled() => return,
                _ = self.hangup.recv() => Actor::Signal,
                Some(request) = self.reloads.next() => {
                    let actor = request.actor();
                    asked = Some(request);
                    actor
                }
                Some(()) = changes.recv() => {
                    // Editors write in several steps: let them finish, then read once.
                    sleep(SETTLE).await;
                    while changes.try_recv().is_ok() {}
                    Actor::FileChange
                }
                () = sleep_until(facts_end) => Actor::Schedule,
            };
            let (answer, config) = self.reload(actor).await;
            if let Some(config) = config {
                self.admin.access().set_names(config.admin_names.clone());
                self.taken.engines.keep(&config.engines).await;
                let file = self.taken.sources.file.as_deref();
                let watched = serve::watched(&config, file, &self.taken.sources.state);
                let known = mem::replace(&mut places, watched.places());
                // The one before lives a round longer: what changed since the files were read, it has yet to tell.
                previous = mem::replace(&mut watcher, watch(watched, &changed));
                if known != places {
                    // In a folder that is new nobody has seen it.
                    let _ = changed.try_send(());
                }
            }
            if let Some(request) = asked {
                request.answer(answer);
            }
            // Named so that they live until the next round.
            let _ = (&watcher, &previous);
        }
    }

    /// When the generation in force must be rebuilt because a fact begins or ends.
    fn facts_end(&self) -> Instant {
        let now = clock::now();
        let wait = self
            .gateway
            .generation()
            .valid_until()
            .map_or(FOREVER, |until| {
                // Not in a tight loop should the rebuild fail.
                if until <= now {
                    AGAIN
                } else {
                    until.duration_since(now).unsigned_abs().min(FOREVER)
                }
            });
        Instant::now() + wait
    }

    /// Try to take the files over, and say how it went.
    async fn reload(&self, actor: Actor) -> (ReloadAnswer, Option<Config>) {
        let (taken, current) = (self.taken.clone(), self.gateway.clone());
        let build = move || {
            taken.build(&current.generation()).map_err(|troubles| {
                out::troubles(&troubles);
                troubles.into_iter().map(problem).collect()
            })
        };
        let (answer, config) = self.admin.reload(actor.clone(), build).await;
        let word = if answer.done {
            "is in force"
        } else {
            "stays in force; the new configuration is refused"
        };
        out::note(format_args!(
            "generation {} {word} ({actor})",
            answer.generation
        ));
        (answer, config)
    }
}

fn watch(watched: Watched, changed: &mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let changed = changed.clone();
    let folders: Vec<PathBuf> = watched.folders().map(Path::to_path_buf).collect();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && watched.concerns(&event.paths)) {
            // A change that is already waiting stands for this one too.
            let _ = changed.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            out::note(format_args!(
                "warning: files cannot be watched ({error}); use SIGHUP after a change"
            ));
            return None;
        }
    };
    for folder in folders {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            out::note(format_args!(
                "warning: `{}` cannot be watched ({error}); use SIGHUP after a change",
                folder.display()
            ));
        }
    }
    Some(watcher)
}

fn problem(trouble: Trouble) -> Problem {
    let Trouble {
        file,
        line,
        column,
        message,
        help,
        ..
    } = trouble;
    Problem {
        file,
        line,
        column,
        message,
        help,
    }
}
