//! Every command in the documentation works: fenced `sh` blocks of README.md and docs/ are run, page by page, against a
//! cluster and a proxy of this test; what cannot be run here says so (`sh,norun`) and stands in a list, with the reason.
//! Whether it is run or not, each `tidegate …` is understood by the command line's own parser, each `make` target is there, and
//! so is each script.
//!
//! `stage` says what stands for the names in the documentation: `pg1`, `tidegate:6432`, `/etc/tidegate` and so on.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod skipped;
mod stage;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::time::Instant;

use blocks::{Block, root};
use skipped::{MOST_SKIPPED, SKIPPED};
use stage::Stage;
use tidegate::cli::args::parse_from;

#[test]
fn every_command_is_understood() {
    let mut complaints = Vec::new();
    let mut understood = 0;
    for block in blocks::in_docs().iter().chain(&blocks::in_examples()) {
        for command in words::commands(&block.text) {
            understood += usize::from(stage::program(&command) == Some("tidegate"));
            complaints
                .extend(complaint(&command).map(|why| format!("{}: {command:?}: {why}", block.place())));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(understood >= 20, "only {understood} commands of tidegate were found in the documentation");
}

/// What is wrong with a command, as far as can be said without running it.
fn complaint(command: &[String]) -> Option<String> {
    let arguments = || stage::arguments(command);
    match stage::program(command)? {
        "tidegate" => {
            let line = ["tidegate"].into_iter().chain(arguments()).map(OsString::from);
            let refusal = parse_from(line).err().filter(|refusal| refusal.exit_code != 0)?;
            Some(refusal.text)
        }
        "make" => {
            let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
            let targets = arguments().filter(|word| !word.starts_with('-') && !word.contains('='));
            targets
                .filter(|target| !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))))
                .map(|target| format!("there is no target {target}"))
                .next()
        }
        path if path.starts_with("scripts/") && !root().join(path).is_file() => {
            Some("no such file".to_owned())
        }
        _ => None,
    }
}

#[test]
fn shell_blocks_are_called_sh() {
    let names = ["bash", "shell", "console", "zsh", "shell-session"];
    let is_other = |(_, info): &(String, String)| names.contains(&info.split(',').next().unwrap_or_default());
    let others: Vec<_> = blocks::fences().into_iter().filter(is_other).collect();
    assert!(others.is_empty(), "call them sh, so that they are run: {others:?}");
}

#[test]
fn what_is_not_run_is_listed() {
    let skipped: Vec<Block> = blocks::in_docs().into_iter().filter(|block| !block.run).collect();
    let mut used = BTreeMap::new();
    for block in &skipped {
        let reasons: Vec<_> = SKIPPED.iter().filter(|skip| skip.is_about(block)).collect();
        let [skip] = reasons[..] else {
            panic!(
                "{}: {} entries of skipped.rs are about this block, and not one",
                block.place(),
                reasons.len()
            )
        };
        println!("{}: {}", block.place(), skip.why);
        *used.entry((skip.page, skip.begins)).or_insert(0) += 1;
    }
    let idle: Vec<_> = SKIPPED.iter().filter(|skip| !used.contains_key(&(skip.page, skip.begins))).collect();
    assert!(idle.is_empty(), "nothing is skipped for: {idle:?}");
    assert!(
        skipped.len() <= MOST_SKIPPED,
        "{} blocks are not run; at most {MOST_SKIPPED} may be",
        skipped.len()
    );
}

#[test]
fn what_is_to_be_run_works() {
    let stage = Stage::set();
    a_command_that_fails_is_noticed(&stage);
    let mut pages: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    for block in blocks::in_docs().into_iter().filter(|block| block.run) {
        pages.entry(block.page.clone()).or_default().push(block);
    }
    let play = |blocks: &Vec<Block>| {
        let begun = Instant::now();
        let outcome = stage.play(blocks);
        println!("{}: {} blocks, {:.1?}", blocks[0].page, blocks.len(), begun.elapsed());
        outcome.err()
    };
    let failures: Vec<String> = pages.values().filter_map(play).collect();
    assert!(
        failures.is_empty(),
        "{} pages have commands that fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(stage.on_replicas() > 0.0, "no read has landed on a replica");
    let run: usize = pages.values().map(Vec::len).sum();
    println!("{run} blocks of {} pages were run", pages.len());
}

// ---------------------------------------------------------------------------------------------- the checkers can fail

#[test]
fn a_renamed_flag_is_noticed() {
    let said = |line: &str| {
        let [command] = &words::commands(line)[..] else { panic!("not one command: {line}") };
        complaint(command)
    };
    assert_eq!(said("A=1 target/release/tidegate run --listen 127.0.0.1:1"), None);
    assert_eq!(said("tidegate --help"), None);
    assert!(said("tidegate run --lisen 127.0.0.1:1").is_some());
    assert!(said("tidegate chekc").is_some());
    assert_eq!(said("make bench ARGS='--seconds 10'"), None);
    assert!(said("make benhc").is_some());
    assert_eq!(said("scripts/setup.sh test"), None);
    assert!(said("scripts/gone.sh").is_some());
}

/// Not a test of its own: a stage takes seconds to set.
fn a_command_that_fails_is_noticed(stage: &Stage) {
    let block = |text: &str| Block { page: "p.md".to_owned(), line: 7, run: true, text: text.to_owned() };
    assert_eq!(
        stage.play(&[
            block("true\n"),
            block("tidegate check --config /etc/tidegate/tidegate.toml >/dev/null\n")
        ]),
        Ok(())
    );
    let failure = |text: &str| stage.play(&[block("true\n"), block(text)]).unwrap_err();
    assert!(failure("false\n").contains("p.md:7"), "a failing command");
    assert!(failure("nothing-of-this-name\n").contains("not found"), "a program that is not let in");
    assert!(
        failure("tidegate run --config /etc/tidegate/gone.toml\n").contains("gone.toml"),
        "a proxy that ends"
    );
    assert!(failure("rm -rf /var/lib\n").contains("outside"), "a path outside of the stage");
}
