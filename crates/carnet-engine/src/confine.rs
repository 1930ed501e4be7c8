//! What a process gives up before it opens a model that anybody may have made.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// Closes every descriptor but the standard three, so that nothing which the parent had open can be
/// reached from here. Call it first of all: what this process itself has opened is closed too.
///
/// # Errors
///
/// When the list of open descriptors cannot be read.
pub fn close_inherited() -> io::Result<()> {
    let list = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let open: Vec<RawFd> = fs::read_dir(list)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The list itself was open while it was read, and is not any more.
        if !fs::exists(format!("{list}/{fd}")).unwrap_or(false) {
            continue;
        }
        #[expect(
            unsafe_code,
            reason = "a descriptor by its number; the caller promises that nobody here owns it"
        )]
        // SAFETY: it is open, and as the first thing that this process does nobody here owns it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    Ok(())
}
