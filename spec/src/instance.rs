//! The operator's pass over an Instance: bind it, keep its pod, end it, give its lease back.

use crate::api::give_back;
use crate::protocol::Protocol;
use crate::state::*;

/// The step with which a pass over an Instance begins: the first rule that speaks, as in `instances/decide.py`.
pub fn first(protocol: &Protocol, state: &State, x: usize) -> Option<Pass> {
    let seen = state.instances[x];
    if !seen.here {
        return None;
    }
    let at = if seen.ended {
        let leftover = state.pods[x].phase != Phase::Absent || state.secrets[x] != 0 || state.held_by(x);
        leftover.then_some(At::DeleteSecrets)
    } else if seen.ends {
        Some(At::DeleteSecrets)
    } else if seen.terminate {
        Some(At::End)
    } else if seen.nonce == 0 {
        match (protocol.is_kubectl(x) && !state.held_by(x), seen.finalizer) {
            (true, _) => None,
            _ if state.held_by(x) && seen.returned == state.claims[x] => Some(At::ClearUnused),
            (_, true) => Some(At::ReadDeployment),
            _ => Some(At::SetFinalizer),
        }
    } else if !state.held_by(x) {
        Some(At::End)
    } else {
        match state.pod_of(x).phase {
            Phase::Absent if protocol.makes_secrets_again => Some(At::MakeSecretAgain),
            Phase::Absent => Some(At::MakePod),
            Phase::Stopped => Some(At::Retire),
            _ => None,
        }
    };
    at.map(|at| Pass { at, seen, about: state.claims[x], ..Pass::default() })
}

/// Take the step of a pass; the pass as it goes on.
pub fn step(protocol: &Protocol, state: &mut State, x: usize, pass: Pass, choice: u8) -> Pass {
    let now = state.instances[x];
    // A write names the version that was seen: the API server refuses it when the Instance has changed since.
    let unchanged = now == pass.seen;
    let then = |at| Pass { at, ..pass };
    let over = Pass::default();
    match pass.at {
        At::SetFinalizer if unchanged => {
            state.instances[x].finalizer = true;
            Pass { at: At::ReadDeployment, seen: state.instances[x], ..pass }
        }
        At::ReadDeployment if !state.held_by(x) => then(At::End),
        At::ReadDeployment if choice == 1 => {
            let at = if protocol.marks { At::MarkUnused } else { At::ClearUnused };
            Pass { at, about: state.claims[x], ..pass }
        }
        At::ReadDeployment => match state.warm_of(x) {
            // The lease is the claim. While it is held the status names the same pod, so a cache may tell.
            Some(e) if protocol.warm && serves(state, e) => Pass { at: At::BindWarm, nonce: state.warm_pods[e].nonce, ..pass },
            _ => then(At::MakeSecret),
        },
        At::MakeSecret => {
            // One of an epoch that is over opens nothing: no status names it. It is not followed any further.
            if pass.about == state.claims[x] {
                state.secrets[x] |= bit(pass.nonce);
            }
            if protocol.ordered { then(At::Bind) } else { then(At::Open { pod: true, status: true }) }
        }
        At::Bind if unchanged => {
            state.instances[x].nonce = pass.nonce;
            Pass { at: At::MakePod, seen: state.instances[x], ..pass }
        }
        At::MakePod => {
            let nonce = pass.seen.nonce;
            match state.warm_of(x) {
                Some(e) if pass.seen.warm => {
                    make(&mut state.warm_pods[e], Pod::made(nonce));
                }
                _ => make(&mut state.pods[x], Pod::made(nonce)),
            }
            over
        }
        At::MakeSecretAgain => {
            state.secrets[x] |= bit(pass.seen.nonce);
            then(At::MakePod)
        }
        At::Open { pod, status } if pod && choice == 0 => {
            make(&mut state.pods[x], Pod::made(pass.nonce));
            if status { then(At::Open { pod: false, status }) } else { over }
        }
        At::Open { pod, .. } => {
            if unchanged {
                state.instances[x].nonce = pass.nonce;
            }
            if pod { then(At::Open { pod, status: false }) } else { over }
        }
        At::MarkUnused if unchanged => {
            state.instances[x].returned = pass.about;
            state.returns -= 1;
            over
        }
        At::ClearUnused => {
            let e = pass.about as usize - 1;
            state.warm_secrets[e] = 0;
            state.warm_pods[e].delete();
            if pass.about == state.claims[x] {
                state.secrets[x] = 0;
            }
            then(At::LookForUnused)
        }
        At::LookForUnused => {
            let e = pass.about as usize - 1;
            let cold = pass.about == state.claims[x] && state.secrets[x] != 0;
            let left = cold || state.warm_secrets[e] != 0 || state.warm_pods[e].phase != Phase::Absent;
            if left { over } else { then(At::GiveBackUnused) }
        }
        // By the epoch, which is never taken again. From now on it waits as before.
        At::GiveBackUnused => {
            if state.held_by(x) && state.deployment.epoch == pass.about {
                give_back(state, x);
                state.claims[x] = 0;
            }
            over
        }
        At::BindWarm if unchanged => {
            state.instances[x].nonce = pass.nonce;
            state.instances[x].warm = true;
            over
        }
        At::Retire => {
            let pod = match state.warm_of(x) {
                Some(e) if pass.seen.warm => &mut state.warm_pods[e],
                _ => &mut state.pods[x],
            };
            if pod.phase == Phase::Stopped {
                *pod = Pod::default();
            }
            over
        }
        At::End if unchanged => {
            state.instances[x].ends = true;
            over
        }
        At::DeleteSecrets => {
            state.secrets[x] = 0;
            if let Some(e) = state.warm_of(x) {
                state.warm_secrets[e] = 0;
            }
            Pass { at: At::DeletePod, about: state.claims[x], ..pass }
        }
        At::DeletePod => {
            state.pods[x].delete();
            if let Some(e) = state.warm_of(x) {
                state.warm_pods[e].delete();
            }
            then(At::LookForSecrets)
        }
        At::LookForSecrets => {
            let left = state.secrets[x] != 0 || state.warm_of(x).is_some_and(|e| state.warm_secrets[e] != 0);
            if left { over } else { then(At::LookForPods) }
        }
        At::LookForPods => {
            let absent = |pod: Pod| pod.phase == Phase::Absent;
            let gone = absent(state.pods[x]) && state.warm_of(x).is_none_or(|e| absent(state.warm_pods[e]));
            if gone { then(At::GiveBack) } else { over }
        }
        At::GiveBack => {
            // One that was taken since then was not looked for: the next pass does.
            if pass.about == state.claims[x] {
                give_back(state, x);
            }
            then(At::WriteEnd)
        }
        At::WriteEnd if unchanged => {
            state.instances[x].ended = true;
            over
        }
        // The compare-and-swap failed: the next pass sees what changed.
        _ => over,
    }
}

/// Make a pod where none has its name.
pub fn make(place: &mut Pod, pod: Pod) {
    if place.phase == Phase::Absent {
        *place = pod;
    }
}

/// Whether the warm pod of an epoch serves who holds the lease of that epoch: the deployment's status names it.
fn serves(state: &State, e: usize) -> bool {
    let pod = state.warm_pods[e];
    matches!(pod.phase, Phase::Made | Phase::Runs) && !pod.deleting && pod.nonce == state.deployment.warm
}
