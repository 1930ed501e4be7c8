//! The machine: clock, room on the disk, open files, ports.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use carnet_audit::Reader;
use jiff::{SignedDuration, Timestamp};

use super::Findings;
use crate::clock;

/// A record this much later than the clock says that the clock is wrong, and not two machines that differ a little.
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(2);
/// With less room no requests are taken soon: the log keeps room for those that are open.
const ROOM_LEAST: u64 = 128 << 20;
/// With less room somebody should look.
const ROOM_GOOD: u64 = 1 << 30;
/// Files that can still be made, likewise.
const INODES_LEAST: u64 = 1_000;
const INODES_GOOD: u64 = 20_000;
/// Open files beside those of connections: log, databases, listeners, files that are watched.
const FILES_BESIDE: u64 = 256;

/// The clock, against the newest record of the log.
pub(crate) fn clock(findings: &mut Findings, now: Timestamp, log: &Path) {
    const CHECK: &str = "clock";
    if let Err(trouble) = clock::check(now) {
        return findings.troubles(CHECK, vec![trouble]);
    }
    match newest_record(log) {
        Some(newest) if newest > now.saturating_add(CLOCK_OFF).unwrap_or(Timestamp::MAX) => {
            findings.problem(
                CHECK,
                format!("it says {now:.0}, and the newest record of the log is of {newest:.0}"),
                "set the clock (`timedatectl set-ntp true`): facts, keys and certificates depend on it",
            );
        }
        _ => findings.ok(CHECK, format!("{now:.0}")),
    }
}

/// When the newest record was made; none where the log cannot be read, which another check says.
fn newest_record(log: &Path) -> Option<Timestamp> {
    let reader = Reader::open(log).ok()?;
    reader.newest().find_map(|entry| match entry.ok()?.leaf {
        carnet_audit::Leaf::Record(record) => Some(record.time),
        carnet_audit::Leaf::Document(_) => None,
    })
}

/// What a disk has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    free: u64,
    /// None where the file system has no such bound.
    inodes: Option<u64>,
}

impl Disk {
    /// Of the disk on which a folder lies.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            inodes: (found.f_files > 0).then_some(found.f_favail),
        })
    }

    /// Whether it is enough.
    pub(crate) fn judge(self, findings: &mut Findings) {
        const CHECK: &str = "disk";
        let told = format!("{} MiB free", self.free >> 20);
        let inodes = self.inodes.unwrap_or(u64::MAX);
        let help = "make room, or move the state directory; `/readyz` fails once the log has no room for another request";
        if self.free < ROOM_LEAST {
            findings.problem(CHECK, told, help);
        } else if inodes < INODES_LEAST {
            let message = format!("only {inodes} more files can be made on this file system");
            findings.problem(CHECK, message, "remove files, or move the state directory");
        } else if self.free < ROOM_GOOD {
            findings.warning(CHECK, told, help);
        } else if inodes < INODES_GOOD {
            let message = format!("only {inodes} more files can be made on this file system");
            findings.warning(CHECK, message, "remove files, or move the state directory");
        } else {
            findings.ok(CHECK, told);
        }
    }
}

/// The most files that a server may have open that this user starts; none = as many as it likes.
pub(crate) fn own_files() -> Option<u64> {
    // A server takes what it may have.
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// The same of another process, by its `/proc/…/limits`; the outer none where that cannot be told.
pub(crate) fn files_of(process: i32) -> Option<Option<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    files_in(&text)
}

fn files_in(limits: &str) -> Option<Option<u64>> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    }
}

/// Whether so many files are enough for so many connections.
pub(crate) fn files(findings: &mut Findings, whose: &str, most: Option<u64>, connections: usize) {
    const CHECK: &str = "open files";
    // One to the caller, one to the upstream.
    let wanted = (connections as u64)
        .saturating_mul(2)
        .saturating_add(FILES_BESIDE);
    match most {
        Some(most) if most < wanted => findings.warning(
            CHECK,
            format!(
                "{whose} may have {most} open, and {connections} connections (`connections_max`) with as many to upstreams need {wanted}"
            ),
            format!("set LimitNOFILE={wanted} in the unit (`ulimit -Hn {wanted}` in a shell), or a smaller `connections_max`"),
        ),
        Some(most) => findings.ok(CHECK, format!("{whose} may have {most} open")),
        None => findings.ok(CHECK, format!("{whose} may have any number open")),
    }
}

/// Whether a port is free for a server that is to start.
pub(crate) fn port(findings: &mut Findings, name: &str, address: SocketAddr) {
    const CHECK: &str = "port";
    match TcpListener::bind(address) {
        Ok(_) => findings.ok(CHECK, format!("{address} is free for the {name} listener")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => findings.warning(
            CHECK,
            format!("{address} of the {name} listener is in use, and no server runs on this state"),
            "right if a service manager holds it (carnet.socket); else end the program that has it, or choose another address",
        ),
        Err(error) => findings.problem(
            CHECK,
            format!("the {name} listener cannot have {address}: {error}"),
            "choose another address in carnet.toml",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;

    fn standing(judge: impl FnOnce(&mut Findings)) -> Standing {
        let mut findings = Findings::default();
        judge(&mut findings);
        assert_eq!(findings.0.len(), 1);
        let finding = &findings.0[0];
        assert_eq!(
            finding.help.is_some(),
            finding.standing != Standing::Ok,
            "{finding:?}"
        );
        finding.standing
    }

    #[test]
    fn a_disk_is_judged_by_room_and_files() {
        for (free, inodes, expected) in [
            (ROOM_GOOD, None, Standing::Ok),
            (ROOM_GOOD, Some(INODES_GOOD), Standing::Ok),
            (ROOM_GOOD - 1, None, Standing::Warning),
            (ROOM_GOOD, Some(INODES_GOOD - 1), Standing::Warning),
            (ROOM_LEAST - 1, None, Standing::Problem),
            (ROOM_GOOD, Some(0), Standing::Problem),
        ] {
            let disk = Disk { free, inodes };
            assert_eq!(standing(|f| disk.judge(f)), expected, "{disk:?}");
        }
    }

    #[test]
    fn open_files_are_held_against_connections() {
        let judge = |most| standing(|f| files(f, "a", most, 100));
        assert_eq!(judge(None), Standing::Ok);
        assert_eq!(judge(Some(456)), Standing::Ok);
        assert_eq!(judge(Some(455)), Standing::Warning);
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             63432                63432                processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(files_in(text), Some(Some(1024)));
        assert_eq!(
            files_in("Max open files  unlimited unlimited files"),
            Some(None)
        );
        assert_eq!(files_in(""), None);
        assert!(files_of(std::process::id().cast_signed()).is_some());
    }

    #[test]
    fn a_clock_that_cannot_be_is_a_problem() {
        let log = Path::new("nowhere");
        let judge = |now: &str| standing(|f| clock(f, now.parse().unwrap(), log));
        assert_eq!(judge("1970-01-01T00:00:00Z"), Standing::Problem);
        assert_eq!(judge("2026-01-01T00:00:00Z"), Standing::Ok);
    }

    #[test]
    fn a_record_of_tomorrow_is_a_problem_of_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let signer = carnet_audit::Signer::new("carnet/audit", &[1; 32]).unwrap();
        let time: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let options = carnet_audit::Options {
            max_open: 4,
            segment_bytes: 1 << 20,
            ..Default::default()
        };
        let (log, _) =
            carnet_audit::Log::open(folder.path(), signer, options, move || time).unwrap();
        let slot = log.reserve().unwrap();
        slot.leaf(carnet_audit::Record::new(
            carnet_audit::Kind::Request,
            "r".into(),
            time,
            carnet_audit::Outcome::Completed,
        ));
        drop(log);
        let judge = |now: &str| standing(|f| clock(f, now.parse().unwrap(), folder.path()));
        assert_eq!(judge("2026-01-01T00:00:00Z"), Standing::Problem);
        assert_eq!(judge("2026-01-01T23:59:00Z"), Standing::Ok);
    }

    #[test]
    fn a_port_is_free_or_not() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert_eq!(standing(|f| port(f, "data", address)), Standing::Warning);
        drop(held);
        assert_eq!(standing(|f| port(f, "data", address)), Standing::Ok);
        let nobody_s = "192.0.2.1:4390".parse().unwrap();
        assert_eq!(standing(|f| port(f, "data", nobody_s)), Standing::Problem);
    }
}
