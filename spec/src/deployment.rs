//! The operator's pass over a WorkspaceDeployment: leases whose Instance does not exist, and its deletion. Turns too.

use crate::api::{bury, give_back, take};
use crate::protocol::{Act, Orphans, Protocol};
use crate::state::*;
use crate::warm::version;

/// What an administrator does to the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Administrator {
    Delete,
    /// Make it again under the same name (`kubectl replace --force`, GitOps).
    MakeAgain,
}

/// The step with which a pass over the deployment begins.
pub fn first(protocol: &Protocol, state: &State) -> Option<Pass> {
    let deployment = state.deployment;
    if !deployment.here {
        return None;
    }
    let begin = |at, about| Some(Pass { at, about, seen: version(state), ..Pass::default() });
    if let Some(x) = (deployment.holder as usize).checked_sub(1) {
        if state.instances[x].here {
            return None;
        }
        // The id of an object of kubectl is its uid, which cannot come again: no name need be taken.
        return match protocol.orphans {
            Orphans::Tombstone if !protocol.is_kubectl(x) => begin(At::Tombstone, x as u8),
            _ => begin(At::ClearOrphan, x as u8),
        };
    }
    let looks = protocol.deletion_waits == Some(true);
    match (deployment.deleting, deployment.finalizer) {
        (true, _) => begin(At::LookForRemains, 0),
        (false, true) => None,
        _ if looks => begin(At::LookForEarlier, 0),
        _ => begin(At::HoldDeployment, 0),
    }
}

/// The step with which the queue's pass begins: the lease is taken for an Instance of kubectl that waits.
pub fn first_turn(protocol: &Protocol, state: &State) -> Option<Pass> {
    let x = protocol.users.checked_sub(1).filter(|&x| protocol.is_kubectl(x))?;
    let instance = state.instances[x];
    let waits = instance.here && instance.nonce == 0 && !instance.terminate && !instance.ends && state.claims[x] == 0;
    // Instances take their leases in their order.
    let turn = x == 0 || state.claims[x - 1] != 0;
    (waits && turn && state.deployment.can_be_had()).then_some(Pass { at: At::TakeTurn, about: x as u8, ..Pass::default() })
}

/// Take the step of a pass; the pass as it goes on.
pub fn step(protocol: &Protocol, state: &mut State, pass: Pass) -> Pass {
    let x = pass.about as usize;
    let then = |at| Pass { at, ..pass };
    let looks_at_warm = protocol.orphans == Orphans::Tombstone;
    match pass.at {
        At::Tombstone => bury(state, x),
        At::ClearOrphan => {
            state.secrets[x] = 0;
            state.pods[x].delete();
            if let Some(e) = state.warm_of(x).filter(|_| looks_at_warm) {
                state.warm_secrets[e] = 0;
                state.warm_pods[e].delete();
            }
            return then(At::LookForOrphan);
        }
        At::LookForOrphan => {
            let gone = |pod: Pod, secrets: u8| pod.phase == Phase::Absent && secrets == 0;
            let warm_gone = |e: usize| gone(state.warm_pods[e], state.warm_secrets[e]);
            let warm = state.warm_of(x).filter(|_| looks_at_warm);
            if gone(state.pods[x], state.secrets[x]) && warm.is_none_or(warm_gone) {
                return then(At::GiveBackOrphan);
            }
        }
        At::GiveBackOrphan => give_back(state, x),
        At::LookForEarlier => {
            if !state.has_remains() {
                return Pass { at: At::HoldDeployment, about: highest_epoch(state), ..pass };
            }
        }
        // At the version that was seen, before which nobody has its lease.
        At::HoldDeployment => {
            if version(state) == pass.seen {
                state.deployment.epoch = pass.about;
                state.deployment.finalizer = true;
            }
        }
        At::LookForRemains => {
            if !state.has_remains() {
                return then(At::LetDeploymentGo);
            }
        }
        // A compare-and-swap: nobody has taken the lease since it was seen free.
        At::LetDeploymentGo => {
            if version(state) == pass.seen {
                state.deployment = Deployment::default();
            }
        }
        At::TakeTurn => {
            if state.deployment.can_be_had() && state.claims[x] == 0 {
                take(state, x);
            }
        }
        at => unreachable!("no step of a pass over a deployment: {at:?}"),
    }
    Pass::default()
}

/// The highest epoch that any Instance speaks of: the first of a deployment that was made again is above it.
fn highest_epoch(state: &State) -> u8 {
    let speaking = state.instances.iter().zip(state.claims).filter(|(instance, _)| instance.here);
    speaking.map(|(_, claim)| claim).max().unwrap_or(0)
}

pub fn administrator_acts(protocol: &Protocol, state: &State, acts: &mut Vec<Act>) {
    if protocol.deletion_waits.is_none() {
        return;
    }
    let deployment = state.deployment;
    if deployment.here && !deployment.deleting && state.made == 1 {
        acts.push(Act::Administrator(Administrator::Delete));
    }
    if !deployment.here && state.made == 1 {
        acts.push(Act::Administrator(Administrator::MakeAgain));
    }
}

pub fn administrator_step(protocol: &Protocol, state: &mut State, step: Administrator) {
    match step {
        Administrator::Delete if protocol.deletion_waits == Some(true) && state.deployment.finalizer => {
            state.deployment.deleting = true;
        }
        Administrator::Delete => state.deployment = Deployment::default(),
        Administrator::MakeAgain => {
            state.deployment = Deployment { here: true, ..Deployment::default() };
            state.made += 1;
        }
    }
}
