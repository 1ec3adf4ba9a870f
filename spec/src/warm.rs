//! The operator's pass over what is kept warm for a deployment (ADR 0013): a pod for the epoch that comes next.

use crate::instance::make;
use crate::protocol::Protocol;
use crate::state::*;

/// The step with which a pass over the warm pairs begins: what is of no use goes first, then one is made.
pub fn first(protocol: &Protocol, state: &State) -> Option<Pass> {
    if !protocol.warm {
        return None;
    }
    let deployment = state.deployment;
    let begin = |at, e: usize| Some(Pass { at, about: e as u8, seen: version(state), ..Pass::default() });
    let epochs = (protocol.users + protocol.returns as usize).min(INSTANCES);
    for e in 0..epochs {
        let pod = state.warm_pods[e];
        let there = pod.phase != Phase::Absent || state.warm_secrets[e] != 0;
        let coming = e as u8 == deployment.epoch && deployment.can_be_had();
        let held = e as u8 + 1 == deployment.epoch && deployment.holder != 0;
        // The status does not name it: it is being removed, or a former leader made it.
        let stray = coming && pod.phase != Phase::Absent && pod.nonce != deployment.warm;
        if there && !held && (!coming || stray || pod.phase == Phase::Stopped) {
            return match pod.phase {
                Phase::Absent => begin(At::RemoveWarmSecret, e),
                Phase::Stopped => removal(protocol, state, e),
                _ if pod.deleting => None,
                _ => removal(protocol, state, e),
            };
        }
    }
    let e = deployment.epoch as usize;
    if !deployment.can_be_had() || e >= epochs {
        return None;
    }
    if state.warm_pods[e].phase != Phase::Absent {
        return None;
    }
    if protocol.ordered && deployment.warm != 0 && state.warm_secrets[e] & bit(deployment.warm) != 0 {
        return begin(At::WarmPod, e);
    }
    begin(At::WarmSecret, e)
}

/// The step with which a pass begins that finds the pod for the next epoch to be of no use, though nothing in the model
/// says so: its type has changed, or its day is over.
pub fn throws_away(protocol: &Protocol, state: &State) -> Option<Pass> {
    let e = state.deployment.epoch as usize;
    let there = e < INSTANCES && matches!(state.warm_pods[e].phase, Phase::Made | Phase::Runs) && !state.warm_pods[e].deleting;
    let may = protocol.warm && state.removals > 0 && state.deployment.can_be_had();
    if may && there { removal(protocol, state, e) } else { None }
}

/// The first step of a removal. What the status names is un-named first.
fn removal(protocol: &Protocol, state: &State, e: usize) -> Option<Pass> {
    let named = state.deployment.warm != 0 && state.deployment.epoch as usize == e && state.deployment.holder == 0;
    let at = if named && protocol.unnames { At::UnnameWarm } else { At::RemoveWarmPod };
    Some(Pass { at, about: e as u8, seen: version(state), nonce: state.warm_pods[e].nonce, ..Pass::default() })
}

/// Take the step of a pass; the pass as it goes on.
pub fn step(protocol: &Protocol, state: &mut State, pass: Pass) -> Pass {
    let e = pass.about as usize;
    let then = |at| Pass { at, ..pass };
    match pass.at {
        At::WarmSecret => {
            state.warm_secrets[e] |= bit(pass.nonce);
            return then(if protocol.ordered { At::WarmNonce } else { At::WarmPod });
        }
        // The compare-and-swap of the deployment's status: nobody has taken the lease since it was read.
        At::WarmNonce => {
            if version(state) == pass.seen {
                state.deployment.warm = pass.nonce;
                return Pass { at: At::WarmPod, seen: version(state), ..pass };
            }
        }
        At::WarmPod => {
            let nonce = if protocol.ordered { pass.seen.nonce } else { pass.nonce };
            make(&mut state.warm_pods[e], Pod::made(nonce));
        }
        // The compare-and-swap of the deployment's status: nobody has taken the lease since it was read.
        At::UnnameWarm => {
            if version(state) == pass.seen {
                state.deployment.warm = 0;
                state.unnamed += 1;
                return then(At::RemoveWarmPod);
            }
        }
        // The pod that was seen, by its uid.
        At::RemoveWarmPod => {
            if state.warm_pods[e].nonce == pass.nonce {
                state.robbed |= is_used(state, e);
                state.warm_pods[e].delete();
                if state.warm_pods[e].phase == Phase::Absent {
                    return then(At::RemoveWarmSecret);
                }
            }
        }
        At::RemoveWarmSecret => {
            if state.warm_pods[e].phase == Phase::Absent {
                state.warm_secrets[e] = 0;
            }
        }
        at => unreachable!("no step of a pass over what is kept warm: {at:?}"),
    }
    Pass::default()
}

/// Whether the warm pod of an epoch is there for an instance that holds its lease, was bound with it and does not end.
fn is_used(state: &State, e: usize) -> bool {
    let uses = |x: usize| state.instances[x].warm && state.warm_of(x) == Some(e) && !state.instances[x].ends;
    let pod = state.warm_pods[e];
    let runs = matches!(pod.phase, Phase::Made | Phase::Runs) && !pod.deleting;
    runs && state.deployment.epoch as usize == e + 1 && (state.deployment.holder as usize).checked_sub(1).is_some_and(uses)
}

/// What a compare-and-swap of the deployment's status compares. A pass keeps it where others keep their Instance.
pub fn version(state: &State) -> Instance {
    let deployment = state.deployment;
    Instance {
        here: deployment.here,
        finalizer: deployment.epoch & 1 != 0,
        terminate: deployment.epoch & 2 != 0,
        ends: deployment.holder != 0,
        ended: state.made > 1,
        warm: deployment.deleting,
        nonce: deployment.warm,
        ..Instance::default()
    }
}
