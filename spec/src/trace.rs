//! Runs of the model as traces: the commits that an API server would show, in the format of `berth_core.trace`.

use crate::protocol::{Act, Protocol};
use crate::state::*;
use std::collections::BTreeMap;

type Objects = BTreeMap<(&'static str, String), String>;

/// Lines of JSON: one for each object that differs between two states in a row.
pub fn lines(protocol: &Protocol, states: &[State]) -> Vec<String> {
    let mut lines = vec![];
    let mut known = Objects::new();
    for state in states {
        let now = objects(protocol, state);
        for (key, fields) in &now {
            let event = match known.get(key) {
                None => "ADDED",
                Some(before) if before != fields => "MODIFIED",
                Some(_) => continue,
            };
            lines.push((event, key.clone(), fields.clone()));
        }
        for (key, fields) in known.iter().filter(|(key, _)| !now.contains_key(*key)) {
            lines.push(("DELETED", key.clone(), fields.clone()));
        }
        known = now;
    }
    let numbered = lines.iter().enumerate();
    numbered.map(|(at, (event, (plural, name), fields))| {
        format!(
            r#"{{"version":{},"event":"{event}","plural":"{plural}","namespace":"lab","name":"{name}","by":"model",{fields}}}"#,
            at + 1
        )
    }).collect()
}

/// States of a random run, from the beginning to where nothing more can happen, or `most` acts.
pub fn walk(protocol: &Protocol, seed: u64, most: usize) -> Vec<State> {
    use stateright::Model;
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut states = protocol.init_states();
    let mut acts: Vec<Act> = vec![];
    while states.len() < most {
        let state = states[states.len() - 1].clone();
        protocol.actions(&state, &mut acts);
        if acts.is_empty() {
            break;
        }
        let only_rare = acts.iter().all(is_rare);
        let act = loop {
            // xorshift: what is drawn only has to be the same for the same seed.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let act = acts[(random >> 20) as usize % acts.len()];
            if only_rare || !is_rare(&act) || (random >> 8) % 24 == 0 {
                break act;
            }
        };
        acts.clear();
        states.extend(protocol.next_state(&state, act));
    }
    states
}

/// Acts that end something before it has begun: drawn less often, else few pods would ever run.
fn is_rare(act: &Act) -> bool {
    use crate::api::Step::{Delete, Die, Refuse, Terminate};
    match act {
        Act::Api(step, _) => matches!(step, Delete | Die | Refuse | Terminate),
        Act::Node(step, _) => *step == crate::node::Step::Lose,
        Act::Administrator(_) | Act::Leader(_) => true,
        Act::Pass(..) => false,
    }
}

fn id(x: usize) -> String {
    format!("00000000-0000-7000-8000-{x:012}")
}

fn secret(protocol: &Protocol, name: &str, nonce: Nonce) -> String {
    if protocol.nonces { format!("{name}-n{nonce}") } else { name.to_string() }
}

fn cold(state: &State, x: usize) -> String {
    format!("i-{}-e{}", id(x), state.claims[x])
}

fn warm(e: usize) -> String {
    format!("w-d-e{}", e + 1)
}

fn drawn(protocol: &Protocol, nonce: Nonce) -> String {
    if protocol.nonces && nonce != 0 { format!(r#""n{nonce}""#) } else { "null".into() }
}

fn objects(protocol: &Protocol, state: &State) -> Objects {
    let mut all = Objects::new();
    let deployment = state.deployment;
    if deployment.here {
        let lease = match deployment.holder {
            0 => "null".into(),
            holder => format!(r#"{{"instance":"{}","user":"u"}}"#, id(holder as usize - 1)),
        };
        let epoch = deployment.epoch + (deployment.holder == 0) as u8;
        let kept = match deployment.warm {
            0 => "null".into(),
            nonce => format!(r#"{{"epoch":{epoch},"nonce":"n{nonce}"}}"#),
        };
        let fields = format!(
            r#""epoch":{},"lease":{lease},"deleting":{},"warm":{kept}"#,
            deployment.epoch, deployment.deleting
        );
        all.insert(("workspacedeployments", "d".into()), fields);
    }
    for x in 0..protocol.users {
        let instance = state.instances[x];
        if instance.here {
            let claim = match protocol.is_kubectl(x) {
                true => "null".into(),
                false => format!(r#"{{"deployment":"d","epoch":{}}}"#, state.claims[x]),
            };
            let epoch = if instance.nonce == 0 { "null".into() } else { state.claims[x].to_string() };
            let returned = match instance.returned {
                0 => "null".into(),
                epoch => format!(r#"{{"deployment":"d","epoch":{epoch}}}"#),
            };
            let fields = format!(
                r#""id":"{}","claim":{claim},"terminate":{},"finalizer":{},"deployment":{},"epoch":{epoch},"nonce":{},"warm":{},"reason":{},"ended":{},"returned":{returned}"#,
                id(x),
                instance.terminate,
                instance.finalizer,
                if instance.nonce == 0 { "null" } else { r#""d""# },
                drawn(protocol, instance.nonce),
                instance.warm,
                if instance.ends { r#""Terminated""# } else { "null" },
                instance.ended,
            );
            all.insert(("instances", id(x)), fields);
        }
        let holder = format!(r#""{}""#, id(x));
        belongings(protocol, &mut all, &cold(state, x), state.secrets[x], state.pods[x], (&holder, state.claims[x], false));
    }
    for e in 0..INSTANCES {
        let of = ("null", e as u8 + 1, true);
        belongings(protocol, &mut all, &warm(e), state.warm_secrets[e], state.warm_pods[e], of);
    }
    all
}

/// The Secrets and the pod of one lease, or of one that is to come.
fn belongings(
    protocol: &Protocol,
    all: &mut Objects,
    name: &str,
    secrets: u8,
    pod: Pod,
    (holder, epoch, warm): (&str, u8, bool),
) {
    for nonce in (1..8).filter(|&nonce| secrets & bit(nonce) != 0) {
        let instance = if warm { "null" } else { holder };
        let fields = format!(r#""instance":{instance},"deployment":"d","epoch":{epoch},"warm":{warm}"#);
        all.insert(("secrets", secret(protocol, name, nonce)), fields);
    }
    if pod.phase != Phase::Absent {
        let fields = format!(
            r#""instance":{holder},"deployment":"d","epoch":{epoch},"warm":{warm},"mounts":["{}"],"deleting":{},"running":{},"over":{}"#,
            secret(protocol, name, pod.nonce),
            pod.deleting,
            pod.phase == Phase::Runs,
            pod.phase == Phase::Stopped,
        );
        all.insert(("pods", name.to_string()), fields);
    }
}
