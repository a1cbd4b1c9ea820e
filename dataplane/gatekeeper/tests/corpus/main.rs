//! The fuzz targets on stable Rust: over their corpus, and over a number of inputs that were made
//! from it by chance. The chance is the same each time.
//!
//! `CORPUS_MUTATIONS` is the number of inputs, `CORPUS_SEED` where they begin. What fuzzing finds is
//! put into the corpus, and so stays found.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod mutation;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/packet.rs"]
mod packet;
#[path = "../support/reading.rs"]
mod reading;
#[path = "../support/second_opinion/mod.rs"]
mod second_opinion;
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/write.rs"]
mod write;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use gatekeeper as gate;

use self::{
    mutation::Mutator,
    targets::{differential, differential::Unsubscribes, frames, session},
};

const MUTATIONS: u64 = 20_000;

/// The inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(folder)
        .expect("a target has a corpus")
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Runs a target over its corpus and over what was made from it.
fn run(name: &str, target: impl Fn(&[u8])) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let checked = |what: &str, input: &[u8]| {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(outcome.is_ok(), "{name} fails on {what}: {input:02x?}");
    };
    for (file, input) in &corpus {
        checked(file, input);
    }
    let first = setting("CORPUS_SEED", 0);
    let inputs: Vec<&[u8]> = corpus.iter().map(|(_, input)| &**input).collect();
    for seed in first..first + setting("CORPUS_MUTATIONS", MUTATIONS) {
        let input = Mutator::new(seed).mutated(&inputs);
        checked(&format!("CORPUS_SEED={seed}"), &input);
    }
}

#[test]
fn frames_are_cut_and_read_in_one_way_only() {
    run("frames", frames::run);
}

#[test]
fn a_gatekeeper_does_nothing_that_it_may_not() {
    run("gatekeeper", session::run);
}

#[test]
fn the_second_opinion_differs_in_known_ways_only() {
    run("differential", |input| {
        differential::run(input, Unsubscribes::Read);
    });
}
