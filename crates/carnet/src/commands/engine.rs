//! `carnet engine`: one model in a process that has given up what it does not need.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use carnet_engine::{Engine, LoadOptions, Serving};
use rustix::process::{Resource, Rlimit, nice, setrlimit, setsid};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli::EngineArgs;
use crate::engine::{Ready, Refused, Said, usual_threads};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{commands, embedded, out};

/// What an engine has in its environment. Each is read once, when the process begins.
pub(crate) fn environment(threads: u64) -> [(&'static str, String); 2] {
    [
        // The arithmetic takes the number of its threads from here only.
        ("RAYON_NUM_THREADS", threads.to_string()),
        // The bound of memory counts what may be written, and else the allocator takes a gibibyte ahead.
        ("MIMALLOC_ARENA_EAGER_COMMIT", "0".to_owned()),
    ]
}
/// How much the process yields to others: half way to the most.
const NICE: i32 = 10;
/// What the kernel's choice of whom to end for want of memory is moved by: this process before others.
const OOM_SCORE: &str = "500";
/// Megabytes beside weights and answer: the program, its threads' stacks (of which 512 MB are reserved
/// for chat templates and hardly used), and a tensor's bytes while it is unpacked.
const MEMORY_BESIDE_MB: u64 = 1_024;
/// What the parent writes to stdin for an end in good order. Its closing is an end at once.
pub(crate) const STOP: &[u8] = b"stop\n";
/// Names a model whose path has no last part.
const NAMELESS: &str = "model";

pub(crate) fn run(args: &EngineArgs) -> Exit {
    let started = Instant::now();
    match prepare(args).and_then(|()| serve(args, started)) {
        Ok(()) => Exit::Good,
        Err(troubles) if args.child => {
            for trouble in troubles {
                say(&Said::Refused(Refused {
                    reason: match &trouble.file {
                        Some(file) => format!("{file}: {}", trouble.message),
                        None => trouble.message,
                    },
                    fix: trouble.help.unwrap_or_default(),
                }));
            }
            Exit::Error
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

/// Gives up what this process does not need, before it opens anything.
fn prepare(args: &EngineArgs) -> Result<(), Troubles> {
    let trouble = |what: &str, error: io::Error| {
        vec![Trouble::new(
            format!("the engine cannot {what}: {error}"),
            "check the limits of this user and of its container",
        )]
    };
    carnet_engine::close_inherited()
        .map_err(|error| trouble("close what its parent had open", error))?;
    // A session of its own: no terminal, and one group with whatever it might start. A process that has
    // one already is one that has started once more, see below.
    if args.child {
        let _ = setsid();
    }
    let environment = environment(args.threads.unwrap_or_else(usual_threads));
    let has = |(name, value): &(&str, String)| std::env::var(name).is_ok_and(|has| has == *value);
    if !environment.iter().all(has) {
        // A process cannot safely change its own environment, so it starts once more.
        let error = Command::new(this_program())
            .arg0("carnet")
            .args(std::env::args_os().skip(1))
            .envs(environment)
            .exec();
        return Err(trouble("start with an environment of its own", error));
    }
    let data = (args.memory_mb + args.memory_mb / 4 + MEMORY_BESIDE_MB) << 20;
    limit(Resource::Data, data).map_err(|error| trouble("bound its memory", error))?;
    // A dump would hold prompts.
    limit(Resource::Core, 0).map_err(|error| trouble("switch its memory dumps off", error))?;
    nice(NICE).map_err(|error| trouble("lower its priority", error.into()))?;
    #[cfg(target_os = "linux")]
    {
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| trouble("renounce privileges", error.into()))?;
        // Only a preference: where the kernel does not take it, the limit above still holds.
        let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    }
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

/// The file this process runs, also if it has been replaced meanwhile.
pub(crate) fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("carnet"))
    }
}

fn serve(args: &EngineArgs, started: Instant) -> Result<(), Troubles> {
    let (listener, socket) = listen(&args.socket)?;
    let told = args.child.then(|| end_with_stdin(socket.clone()));
    let own = match &args.model {
        Some(_) => None,
        None => Some(Unpacked::new(&args.socket)?),
    };
    let path = match (&args.model, &own) {
        (Some(path), _) => path.as_path(),
        (None, own) => own.as_ref().map_or(Path::new(""), |own| own.0.as_path()),
    };
    let options = LoadOptions {
        memory_max: args.memory_mb << 20,
        context_tokens_max: usize::try_from(args.context_tokens).unwrap_or(usize::MAX),
    };
    let engine = match Engine::load(path, &options) {
        Ok(engine) => Arc::new(engine),
        Err(refusal) => {
            // Nobody is to wait at a socket on which no answer comes.
            socket.remove();
            return Err(vec![Trouble::new(refusal.to_string(), refusal.fix)]);
        }
    };
    drop(own);
    let serving = Serving {
        model: name(args),
        waiting_max: usize::try_from(args.queue).unwrap_or(usize::MAX),
    };
    let ready = Ready {
        context_tokens: engine.context_tokens() as u64,
        weights_mb: (engine.weight_bytes() as u64).div_ceil(1 << 20),
        reasons: engine.reasons(),
        load_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let trouble = |error: io::Error| {
        vec![Trouble::new(
            format!("the engine cannot serve: {error}"),
            "check the limits of this user (`ulimit -a`)",
        )]
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(trouble)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(trouble)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(trouble)?;
        let listener = UnixListener::from_std(listener).map_err(trouble)?;
        if args.child {
            say(&Said::Ready(ready));
        } else {
            out::answer(format_args!(
                "`{}` is ready on {}: {} tokens of context, {} MB of weights, loaded in {} ms",
                serving.model,
                args.socket.display(),
                ready.context_tokens,
                ready.weights_mb,
                ready.load_ms,
            ));
        }
        let stop = async move {
            match told {
                // A signal to the whole group is the gateway's, which lets running answers end.
                Some(told) => {
                    // The thread that tells it does not end before the process does.
                    let _ = told.await;
                }
                None => {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                }
            }
        };
        carnet_engine::serve(engine, listener, serving, stop)
            .await
            .map_err(trouble)
    })?;
    socket.remove();
    Ok(())
}

/// The socket that this process made. Another process may have taken its place since.
#[derive(Clone)]
struct Socket {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    fn of(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            device: made.dev(),
            inode: made.ino(),
        })
    }

    /// Takes it away, unless it is another process's by now.
    fn remove(&self) {
        let own = |there: fs::Metadata| (there.dev(), there.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(own) {
            // One that stays is replaced by the next process that listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes the socket's place. Requests that come while the model loads wait there.
fn listen(socket: &Path) -> Result<(std::os::unix::net::UnixListener, Socket), Troubles> {
    let trouble = |error: io::Error| {
        Trouble::io(
            "listen there",
            socket,
            &error,
            "name a path of at most 107 bytes in a folder where this user may write",
        )
    };
    if fs::symlink_metadata(socket).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(vec![Trouble::new(
            format!("`{}` is there already and is no socket", socket.display()),
            "name another path",
        )]);
    }
    // One whose path is too long could not be reached.
    std::os::unix::net::SocketAddr::from_pathname(socket).map_err(trouble)?;
    // A socket is there a moment before it listens: whoever waits for it under its name finds it listening.
    let coming = socket.with_file_name(format!(".{:x}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&coming).map_err(trouble)?;
    let made = fs::set_permissions(&coming, fs::Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&coming, socket))
        .and_then(|()| Socket::of(socket));
    let made = made.map_err(|error| {
        let _ = fs::remove_file(&coming);
        trouble(error)
    })?;
    Ok((listener, made))
}

/// The model that comes with Carnet as files that nobody else has touched, for as long as it loads.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(socket: &Path) -> Result<Self, Troubles> {
        let mut name = socket.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let folder = PathBuf::from(name);
        let trouble = |error: io::Error| {
            Trouble::io(
                "unpack the model that comes with Carnet",
                &folder,
                &error,
                "check the permissions of the folder above it and the room on the disk",
            )
        };
        // Refused if something is there, so the folder and all in it is this process's own.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(trouble)?;
        let unpacked = Self(folder.clone());
        for (name, bytes) in embedded::MODEL_FILES {
            fs::write(folder.join(name), bytes).map_err(trouble)?;
        }
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What stays would only have to be removed by hand.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(args: &EngineArgs) -> String {
    let of_file = || {
        let path = args.model.as_deref().unwrap_or(Path::new(embedded::MODEL));
        let last = path.file_name()?.to_string_lossy().into_owned();
        Some(last.strip_suffix(".gguf").unwrap_or(&last).to_owned())
    };
    args.name
        .clone()
        .or_else(of_file)
        .unwrap_or_else(|| NAMELESS.to_owned())
}

/// A JSON line for the process that started this one. If that does not listen any more, it has ended.
fn say(said: &Said) {
    if let Ok(line) = serde_json::to_string(said) {
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// Ends this process when the one that started it ends, however that happens: then its end of the
/// pipe is closed. What is returned is ready when an end in good order is asked for.
fn end_with_stdin(socket: Socket) -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut tell = Some(tell);
        let mut byte = [0];
        loop {
            match io::stdin().lock().read(&mut byte) {
                Ok(1) => drop(tell.take().map(|tell| tell.send(()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    socket.remove();
                    std::process::exit(0)
                }
            }
        }
    });
    told
}
