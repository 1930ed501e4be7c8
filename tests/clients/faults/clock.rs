//! A clock for a program that is tested: laid before the C library, it tells the time of day with as many seconds added as
//! the file says that `CARNET_SUITE_CLOCK` names. Other clocks are as they are.

use std::ffi::{c_int, c_long};

const REALTIME: c_int = 0;
#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;

/// A time as the system writes it.
#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// # Safety
/// As the C library's own: `into` is a place for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, into: *mut Time) -> c_int {
    // SAFETY: the caller gives the place for the time, and the system call is the one that the C library makes.
    let done = unsafe { syscall(CLOCK_GETTIME, clock, into) };
    if done != 0 || clock != REALTIME {
        return if done == 0 { 0 } else { -1 };
    }
    let file = std::env::var_os("CARNET_SUITE_CLOCK");
    let said = file.and_then(|file| std::fs::read_to_string(file).ok());
    let added: i64 = said.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    // SAFETY: the system call has written a time there.
    unsafe { (*into).seconds += added };
    0
}
