//! Whatever is read as a request of one dialect is written as JSON in every other.

#![no_main]

use carnet_wire::dialect::{ClientDialect, Dialect, Options};
use carnet_wire::translate;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|body: &[u8]| {
    // A request in one dialect is none in the next, so most are read once only.
    for from in ClientDialect::ALL {
        for to in Dialect::ALL {
            if let Ok(asked) = translate::ask(from, to, body, &Options::default()) {
                serde_json::from_slice::<IgnoredAny>(&asked.body).expect("a request is JSON");
                assert!(asked.losses.iter().all(|loss| !loss.to_string().is_empty()));
            }
        }
    }
});
