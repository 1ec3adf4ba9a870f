//! The operator's pass over a WorkspaceDeployment: leases whose Instance does not exist, and its deletion. Turns too.

use crate::api::{give_back, take};
use crate::protocol::{Act, Orphans, Protocol};
use crate::state::*;

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
    let begin = |at, about| Some(Pass { at, about, ..Pass::default() });
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
    if deployment.deleting {
        return begin(At::LetDeploymentGo, 0);
    }
    if deployment.finalizer { None } else { begin(At::HoldDeployment, 0) }
}

/// The step with which the queue's pass begins: the lease is taken for an Instance of kubectl that waits.
pub fn first_turn(protocol: &Protocol, state: &State) -> Option<Pass> {
    let x = protocol.users.checked_sub(1).filter(|&x| protocol.is_kubectl(x))?;
    let instance = state.instances[x];
    let waits = instance.here && instance.nonce == 0 && !instance.terminate && !instance.ends && state.claims[x] == 0;
    // Instances take their leases in their order.
    let turn = x == 0 || state.claims[x - 1] != 0;
    (waits && turn && state.deployment.holder == 0).then_some(Pass { at: At::TakeTurn, about: x as u8, ..Pass::default() })
}

/// Take the step of a pass; the pass as it goes on.
pub fn step(state: &mut State, pass: Pass) -> Pass {
    let x = pass.about as usize;
    let then = |at| Pass { at, ..pass };
    match pass.at {
        // AlreadyExists means that it came.
        At::Tombstone => {
            if !state.instances[x].here {
                state.instances[x] = Instance { here: true, finalizer: true, terminate: true, ..Instance::default() };
            }
        }
        At::ClearOrphan => {
            state.secrets[x] = 0;
            state.pods[x].delete();
            return then(At::LookForOrphan);
        }
        At::LookForOrphan => {
            if state.pods[x].phase == Phase::Absent && state.secrets[x] == 0 {
                return then(At::GiveBackOrphan);
            }
        }
        At::GiveBackOrphan => give_back(state, x),
        At::HoldDeployment => {
            if state.deployment.here && !state.deployment.deleting {
                state.deployment.finalizer = true;
            }
        }
        // A compare-and-swap: nobody has taken the lease since it was seen free.
        At::LetDeploymentGo => {
            if state.deployment.deleting && state.deployment.holder == 0 {
                state.deployment = Deployment::default();
            }
        }
        At::TakeTurn => {
            if state.deployment.holder == 0 && state.claims[x] == 0 {
                take(state, x);
            }
        }
        at => unreachable!("no step of a pass over a deployment: {at:?}"),
    }
    Pass::default()
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
