//! Starts the processes of engines, starts those that die again, and says how they are.

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Refused, Said, Settings};
use crate::commands::engine::{STOP, environment, this_program};
use crate::out;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};

/// After the first death; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause between two starts.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Who has lived this long dies for the first time.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// How long a process gets to end by itself once its stdin is closed, and for its last words.
const END_TIME_MAX: Duration = Duration::from_secs(2);
/// How long one that is not wanted any more gets to end the answers that it has begun.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a start waits for engines to load. Larger models load on while others are served.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a reload waits for a new engine to listen, and how often it looks.
const LISTEN_TIME_MAX: Duration = Duration::from_secs(2);
const LISTEN_LOOK: Duration = Duration::from_millis(5);
/// Longest line that is read from a process: it may be one that a hostile model has taken over.
const LINE_BYTES_MAX: u64 = 4 << 10;
/// Lines of one life that are shown.
const LINES_MAX: usize = 100;

/// How an engine is.
#[derive(Clone, Debug)]
enum Health {
    Loading,
    Ready,
    /// It stays so until its entry or the configuration is taken over anew.
    Refused(Refused),
    Dead,
}

/// All engines of a server.
pub(crate) struct Engines {
    state: State,
    running: Mutex<Vec<Running>>,
}

struct Running {
    settings: Settings,
    end: watch::Sender<End>,
    health: watch::Receiver<Health>,
    task: JoinHandle<()>,
}

/// Whether an engine is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Never,
    /// Once the answers that it has begun are done.
    Drained,
    Now,
}

impl Engines {
    /// None at first.
    pub(crate) fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            running: Mutex::default(),
        }
    }

    /// Starts those of these that do not run yet, and waits until they listen. One that was refused is
    /// tried again.
    pub(crate) async fn start(&self, wanted: &[Settings]) {
        let mut running = self.running.lock().await;
        running.retain(|engine| !engine.refused());
        for settings in wanted {
            if running.iter().any(|engine| engine.settings == *settings) {
                continue;
            }
            let engine = Running::start(settings.clone(), &self.state);
            engine.listening(&self.state.engine_socket(settings)).await;
            running.push(engine);
        }
    }

    /// Lets only these go on; others end the answers that they have.
    pub(crate) async fn keep(&self, wanted: &[Settings]) {
        let mut running = self.running.lock().await;
        let gone = running.extract_if(.., |engine| !wanted.contains(&engine.settings));
        for gone in gone {
            gone.end.send_replace(End::Drained);
        }
    }

    /// Waits, though not for ever, until each engine is ready. What refuses its model ends a start.
    pub(crate) async fn settled(&self) -> Result<(), Troubles> {
        let mut troubles = Vec::new();
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        for engine in &*self.running.lock().await {
            let name = &engine.settings.name;
            let mut health = engine.health.clone();
            let settled = health.wait_for(|health| !matches!(health, Health::Loading));
            match tokio::time::timeout_at(deadline, settled).await {
                Ok(Ok(health)) => {
                    if let Health::Refused(refused) = &*health {
                        troubles.push(Trouble::new(
                            format!("the engine `{name}` does not run: {}", refused.reason),
                            refused.fix.clone(),
                        ));
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    note(name, "still loads; requests to it wait until it is ready")
                }
            }
        }
        if troubles.is_empty() {
            Ok(())
        } else {
            Err(troubles)
        }
    }

    /// Ends all.
    pub(crate) async fn stop(&self) {
        let mut running = self.running.lock().await;
        for engine in &*running {
            engine.end.send_replace(End::Now);
        }
        for engine in running.drain(..) {
            // A task that panicked has dropped its process, which kills it.
            let _ = engine.task.await;
        }
    }
}

impl Running {
    fn start(settings: Settings, state: &State) -> Self {
        let (end, ending) = watch::channel(End::Never);
        let (tell, health) = watch::channel(Health::Loading);
        let task = tokio::spawn(supervise(settings.clone(), state.clone(), tell, ending));
        Self {
            settings,
            end,
            health,
            task,
        }
    }

    /// Waits, though not for long, until requests that come are not turned away. It loads afterwards.
    async fn listening(&self, socket: &Path) {
        let deadline = Instant::now() + LISTEN_TIME_MAX;
        while matches!(*self.health.borrow(), Health::Loading)
            && !socket.exists()
            && Instant::now() < deadline
        {
            sleep(LISTEN_LOOK).await;
        }
    }

    fn refused(&self) -> bool {
        matches!(*self.health.borrow(), Health::Refused(_))
    }
}

/// Keeps one engine running until it is to end, or until it refuses its model.
async fn supervise(
    settings: Settings,
    state: State,
    health: watch::Sender<Health>,
    mut ending: watch::Receiver<End>,
) {
    let socket = state.engine_socket(&settings);
    let mut pause = PAUSE_MIN;
    loop {
        health.send_replace(Health::Loading);
        let born = Instant::now();
        let end = match start(&settings, &socket) {
            Ok(child) => live(child, &settings.name, &health, &mut ending).await,
            Err(error) => Some(format!("cannot be started: {error}")),
        };
        let Some(end) = end else {
            return;
        };
        if matches!(*health.borrow(), Health::Refused(_)) {
            return;
        }
        health.send_replace(Health::Dead);
        if born.elapsed() >= LONG_LIFE {
            pause = PAUSE_MIN;
        }
        note(
            &settings.name,
            format_args!("{end}; it is started again in {} s", pause.as_secs_f32()),
        );
        tokio::select! {
            _ = ending.changed() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A process with nothing of this one's but three pipes: no environment, no descriptors, no terminal.
fn start(settings: &Settings, socket: &Path) -> io::Result<Child> {
    let mut command = Command::new(this_program());
    command.arg0("carnet").args(["engine", "--child"]);
    let number = |value: u64| value.to_string();
    command
        .arg("--socket")
        .arg(socket)
        .arg(format!("--name={}", settings.model))
        .args(["--threads", &number(settings.threads)])
        .args(["--memory-mb", &number(settings.memory_mb)])
        .args(["--context-tokens", &number(settings.context_tokens)])
        .args(["--queue", &number(settings.queue)]);
    if let Some(file) = &settings.file {
        let mut option = OsString::from("--model=");
        option.push(file);
        command.arg(option);
    }
    command
        .env_clear()
        .envs(environment(settings.threads))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn()
}

/// Follows a process to its end, and says how it ended; nothing if it was to.
async fn live(
    mut child: Child,
    name: &str,
    health: &watch::Sender<Health>,
    ending: &mut watch::Receiver<End>,
) -> Option<String> {
    let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    // Held open for as long as the process is to live.
    let mut stdin = child.stdin.take();
    let shown = AtomicUsize::new(0);
    let show = |line: &str| match shown.fetch_add(1, Ordering::Relaxed) {
        0..LINES_MAX => note(name, line),
        LINES_MAX => note(name, "says more than is shown"),
        _ => {}
    };
    let told = lines(child.stdout.take(), |line| {
        match serde_json::from_str(line) {
            Ok(Said::Ready(ready)) => {
                tracing::info!(name, ?ready, "an engine is ready");
                health.send_replace(Health::Ready);
            }
            Ok(Said::Refused(refused)) => {
                show(&format!(
                    "does not run: {}\n  help: {}",
                    refused.reason, refused.fix
                ));
                health.send_replace(Health::Refused(refused));
            }
            Err(_) => show(line),
        }
    });
    let complained = lines(child.stderr.take(), show);
    let reading = async { tokio::join!(told, complained) };
    tokio::pin!(reading);
    let mut read = false;
    let died = loop {
        tokio::select! {
            _ = ending.changed() => break None,
            status = child.wait() => break Some(status),
            _ = &mut reading, if !read => read = true,
        }
    };
    let died = match died {
        Some(status) => Some(status),
        None => {
            if *ending.borrow_and_update() == End::Drained {
                drain(&mut child, stdin.as_mut(), ending).await;
            }
            drop(stdin.take());
            // It is killed below if it does not end by itself.
            let _ = timeout(END_TIME_MAX, child.wait()).await;
            None
        }
    };
    // What it may have started lives in its session, and goes with it.
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill().await;
    if !read {
        let _ = timeout(END_TIME_MAX, reading).await;
    }
    died.map(|status| match status {
        Ok(status) => ended(status),
        Err(error) => format!("cannot be waited for: {error}"),
    })
}

/// Asks a process to take no more requests and to end those that it has, and waits for that.
async fn drain(
    child: &mut Child,
    stdin: Option<&mut ChildStdin>,
    ending: &mut watch::Receiver<End>,
) {
    let Some(stdin) = stdin else {
        return;
    };
    if stdin.write_all(STOP).await.is_err() {
        return;
    }
    let now = async {
        // Once nobody can ask for it any more, it is never asked for.
        if ending.wait_for(|end| *end == End::Now).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = child.wait() => {}
        _ = sleep(DRAIN_TIME_MAX) => {}
        () = now => {}
    }
}

/// Hands each line on. Bytes of an overlong line are dropped.
async fn lines(pipe: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&str)) {
    let Some(pipe) = pipe else {
        return;
    };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    let mut cut = false;
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        let whole = line.last() == Some(&b'\n');
        if !cut {
            take(String::from_utf8_lossy(&line).trim_end());
        }
        cut = !whole;
    }
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        // What the library of memory does when there is none left, and what the kernel does.
        (None, Some(signal @ (6 | 9))) => {
            format!("was ended by signal {signal}; if its memory was short, raise `memory_mb`")
        }
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn note(name: &str, text: impl Display) {
    out::note(format_args!("engine `{name}`: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_overlong_line_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(3 * LINE_BYTES_MAX as usize);
        let text = format!("a\n{long}\nb\r\nlast");
        let mut taken = Vec::new();
        lines(Some(text.as_bytes()), |line| taken.push(line.to_owned())).await;
        let cut = "x".repeat(LINE_BYTES_MAX as usize);
        assert_eq!(taken, ["a", &cut, "b", "last"]);
    }

    #[test]
    fn an_ending_says_what_may_have_caused_it() {
        let table = [
            (0, "ended with code 0"),
            (2 << 8, "ended with code 2"),
            (
                9,
                "was ended by signal 9; if its memory was short, raise `memory_mb`",
            ),
            (11, "was ended by signal 11"),
        ];
        for (status, text) in table {
            assert_eq!(ended(ExitStatus::from_raw(status)), text);
        }
    }
}
