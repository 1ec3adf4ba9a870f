//! Berth's lease protocol, explored exhaustively. README.md says how to read and run it.

mod api;
mod cases;
mod deployment;
mod ends;
mod instance;
mod leader;
mod node;
mod properties;
mod protocol;
mod state;
mod steps;
mod trace;
mod warm;

use cases::Case;
use protocol::Act;
use state::State;
use stateright::{Checker, HasDiscoveries, Model};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "berth-spec check [small] [NAME…] | walks COUNT SEED | breaches";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check", "small", names @ ..] => check(true, names),
        ["check", names @ ..] => check(false, names),
        ["walks", count, seed] => match (count.parse(), seed.parse()) {
            (Ok(count), Ok(seed)) => walks(count, seed),
            _ => usage(),
        },
        ["breaches"] => breaches(),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: {USAGE}");
    ExitCode::from(2)
}

/// Explore the cases and print the table; fails where one does not show what it must.
fn check(small: bool, names: &[&str]) -> ExitCode {
    let chosen = |case: &Case| (case.small || !small) && (names.is_empty() || names.iter().any(|n| case.name.contains(n)));
    let mut surprises = 0;
    for case in cases::all().into_iter().filter(chosen) {
        let began = Instant::now();
        let (result, states) = explore(&case);
        let seconds = began.elapsed().as_secs_f32();
        let word = if result.is_ok() { "as it must be" } else { "NOT AS IT MUST BE" };
        let (Ok(told) | Err(told)) = &result;
        println!("{:64} {told:52} {states:>10} states {seconds:>7.1} s  {word}", case.name);
        surprises += result.is_err() as usize;
    }
    ExitCode::from((surprises > 0) as u8)
}

/// What a case shows, as an error where it must show something else; and the number of its states.
fn explore(case: &Case) -> (Result<String, String>, usize) {
    let until = match case.breaks {
        [] => HasDiscoveries::AnyFailures,
        breaks => HasDiscoveries::AnyOf(breaks.iter().copied().collect()),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = case.protocol.clone().checker().threads(threads).finish_when(until).spawn_bfs().join();
    let states = checker.unique_state_count();
    let (used, broken): (Vec<_>, Vec<_>) =
        checker.discoveries().into_iter().partition(|(name, _)| *name == properties::USED);
    let mut told: Vec<String> = vec![];
    for (name, path) in broken.iter().filter(|(name, _)| case.breaks.is_empty() || case.breaks.contains(name)) {
        told.push(format!("{name} after {} steps", path.clone().into_actions().len()));
    }
    told.sort();
    if !case.breaks.is_empty() {
        let found = broken.iter().any(|(name, _)| case.breaks.contains(name));
        return if found { (Ok(format!("breaks: {}", told.join(", "))), states) } else { (Err("does not break".into()), states) };
    }
    if !broken.is_empty() {
        for (name, path) in broken {
            print_path(name, path.into_vec());
        }
        return (Err(format!("breaks: {}", told.join(", "))), states);
    }
    if used.is_empty() {
        return (Err("no instance is ever served: the case shows nothing".into()), states);
    }
    if case.ends {
        return match ends::lost(&case.protocol) {
            0 => (Ok("holds, and the end can always be reached".into()), states),
            lost => (Err(format!("from {lost} states the end cannot be reached")), states),
        };
    }
    (Ok("holds".into()), states)
}

/// Print a run, each step under the name of the code that takes it.
fn print_path(name: &str, path: Vec<(State, Option<Act>)>) {
    println!("how it comes that not: {name}");
    for (state, act) in path {
        if let Some(act) = act {
            println!("  {:40} {act:?}", steps::name(act, &state));
        }
    }
}

/// Print random runs of the cases that hold, as traces: each after a line that says what it is.
fn walks(count: u64, seed: u64) -> ExitCode {
    for case in cases::all().into_iter().filter(|case| case.breaks.is_empty()) {
        for number in 0..count {
            print_trace(&case, &trace::walk(&case.protocol, seed + number, 2000), true);
        }
    }
    ExitCode::SUCCESS
}

/// Print for each case that breaks a shortest run to its breach, as a trace.
fn breaches() -> ExitCode {
    // That a pod was removed as nobody's no trace can tell from its eviction.
    for case in cases::all().into_iter().filter(|case| case.breaks == cases::UNSAFE) {
        let until = HasDiscoveries::AnyOf(case.breaks.iter().copied().collect());
        let checker = case.protocol.clone().checker().finish_when(until).spawn_bfs().join();
        for path in case.breaks.iter().filter_map(|name| checker.discovery(name)) {
            let states: Vec<State> = path.into_states();
            print_trace(&case, &states, false);
        }
    }
    ExitCode::SUCCESS
}

fn print_trace(case: &Case, states: &[State], accept: bool) {
    println!(r#"{{"trace":"{}","accept":{accept}}}"#, case.name);
    for line in trace::lines(&case.protocol, states) {
        println!("{line}");
    }
}
