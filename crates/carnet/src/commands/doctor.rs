//! `carnet doctor`: looks at everything that a server needs, and says what to do about it.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::DoctorArgs;
use crate::config::Given;
use crate::doctor::live::Listener;
use crate::doctor::machine::{self, Disk};
use crate::doctor::{Findings, Standing, reach, settings, state, unit};
use crate::exit::Exit;
use crate::reload::Sources;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out};

/// The configuration that is looked for when none is named.
const DEFAULT_CONFIG: &str = "carnet.toml";

pub(crate) fn run(args: &DoctorArgs) -> Exit {
    let sources = match sources(args) {
        Ok(sources) => sources,
        Err(troubles) => return commands::failed(&troubles),
    };
    if args.live {
        return live(args, &sources);
    }
    let findings = match examine(args, &sources) {
        Ok(findings) => findings,
        Err(troubles) => return commands::failed(&troubles),
    };
    tell(args, &findings)
}

fn sources(args: &DoctorArgs) -> Result<Sources, Troubles> {
    let state = State::find(args.place.state.as_deref())?;
    let default = PathBuf::from(DEFAULT_CONFIG);
    let file = args.place.config.clone();
    Ok(Sources {
        file: file.or_else(|| default.exists().then_some(default)),
        given: Given::default(),
        state,
    })
}

/// Whether the data listener answers, in one word.
fn live(args: &DoctorArgs, sources: &Sources) -> Exit {
    let listener = match sources
        .draft()
        .and_then(|draft| Listener::of(&draft, args.address))
    {
        Ok(listener) => listener,
        Err(troubles) => return commands::failed(&troubles),
    };
    let (standing, message) = match listener.ask("/healthz") {
        Ok((200, said)) => (Standing::Ok, said),
        Ok((status, said)) => (Standing::Problem, format!("{status} {said}")),
        Err(error) => (Standing::Problem, error.to_string()),
    };
    let mut findings = Findings::default();
    match standing {
        Standing::Ok => findings.ok("live", message),
        _ => findings.problem("live", message, "`carnet doctor` looks at the rest"),
    }
    tell(args, &findings)
}

fn examine(args: &DoctorArgs, sources: &Sources) -> Result<Findings, Troubles> {
    let (now, state) = (clock::now(), &sources.state);
    let mut findings = Findings::default();
    let there = state::directory(&mut findings, state);
    let disk = state.folder().ancestors().find(|folder| folder.is_dir());
    if let Some(disk) = Disk::of(disk.unwrap_or(Path::new("/"))) {
        disk.judge(&mut findings);
    }
    machine::clock(&mut findings, now, &state.audit());
    let loaded = settings::check(&mut findings, sources, now);
    let gateway = loaded.as_ref().map(|loaded| &loaded.config.gateway);
    let server = if there {
        state::server(&mut findings, state)
    } else {
        None
    };
    if there {
        let workloads: Option<Vec<&str>> = gateway.map(|gateway| {
            let all = gateway.workloads.iter();
            all.map(|workload| &*workload.id).collect()
        });
        // The demonstration has a workload of its own, which comes and goes with it.
        let workloads = sources.file.as_ref().and(workloads.as_deref());
        state::keys(&mut findings, state, workloads, now);
        state::log(&mut findings, state);
    }
    state::registry(&mut findings, state.folder(), now);
    if let Some(gateway) = gateway {
        let (whose, most) = match server.and_then(machine::files_of) {
            Some(most) => ("the server", most),
            None => ("this process", machine::own_files()),
        };
        let connections = gateway.server.connections_max;
        machine::files(&mut findings, whose, most, connections);
        unit::check(&mut findings, gateway.server.drain);
        if server.is_some() {
            ready(&mut findings, args, sources);
        } else if let Some(loaded) = &loaded {
            machine::port(&mut findings, "data", gateway.server.listen);
            machine::port(&mut findings, "admin", loaded.config.admin);
        }
    }
    if let (Some(loaded), true) = (&loaded, args.connect) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| vec![Trouble::new(format!("cannot start: {error}"), "try again")])?;
        runtime.block_on(reach::upstreams(&mut findings, loaded));
    }
    Ok(findings)
}

/// Whether the server that runs takes requests.
fn ready(findings: &mut Findings, args: &DoctorArgs, sources: &Sources) {
    const CHECK: &str = "ready";
    let asked = sources
        .draft()
        .and_then(|draft| Listener::of(&draft, args.address))
        .map(|listener| listener.ask("/readyz"));
    match asked {
        Ok(Ok((200, _))) => findings.ok(CHECK, "the data listener takes requests"),
        Ok(Ok((status, said))) => findings.problem(
            CHECK,
            format!("the data listener says {status}: {said}"),
            "the log of events of the server says more (CARNET_LOG=info)",
        ),
        Ok(Err(error)) => findings.problem(
            CHECK,
            format!("the data listener does not answer: {error}"),
            "if it listens elsewhere than carnet.toml says (--listen, a socket of systemd), name that with --address",
        ),
        Err(troubles) => findings.troubles(CHECK, troubles),
    }
}

fn tell(args: &DoctorArgs, findings: &Findings) -> Exit {
    let count = |standing| findings.count(standing);
    let (good, warnings, problems) = (
        count(Standing::Ok),
        count(Standing::Warning),
        count(Standing::Problem),
    );
    if args.json {
        out::answer(json!({
            "checks": findings.0,
            "ok": good,
            "warnings": warnings,
            "problems": problems,
        }));
    } else {
        for one in &findings.0 {
            let standing = one.standing.as_str();
            let line = format!("{standing:<8} {:<14} {}", one.check, one.message);
            out::answer(out::plain(&line));
            for help in one.help.iter().flat_map(|help| help.lines()) {
                out::answer(out::plain(&format!("{:<23} help: {help}", "")));
            }
        }
        out::answer(format_args!(
            "{good} ok, {}, {}",
            out::counted(warnings, "warning"),
            out::counted(problems, "problem")
        ));
    }
    if problems == 0 { Exit::Good } else { Exit::Bad }
}
