//! Feeds the parser that `PULLGATE_FUZZ` names. One program for all of them: what each promises is said
//! in `tests/src/fuzz.rs`, and linking takes longer than most of them run.
#![no_main]

use std::sync::LazyLock;

use pullgate_tests::fuzz::{Target, target};

static TARGET: LazyLock<Target> =
    LazyLock::new(|| target(&std::env::var("PULLGATE_FUZZ").expect("PULLGATE_FUZZ names a target")));

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
