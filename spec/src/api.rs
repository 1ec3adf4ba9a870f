//! The API process: `POST /new`, its undoing, and the user's word that it ends.

use crate::protocol::{Act, Orphans, Protocol};
use crate::state::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Take the lease: one compare-and-swap of the deployment's status, which adds one to the epoch.
    Take,
    /// Make the Instance under the lease's id, and answer 200. Where the name is taken, the operator was first.
    Make,
    /// The API server refuses the Instance for good (quota, webhook): the lease opened nothing.
    Refuse,
    /// The process dies between the lease and the Instance.
    Die,
    /// Have a lease go back that opened nothing: a tombstone takes the Instance's name.
    Undo,
    /// The user ends the instance.
    Terminate,
    /// The user deletes an Instance of kubectl.
    Delete,
}

pub fn acts(protocol: &Protocol, state: &State, acts: &mut Vec<Act>) {
    let can_be_had = state.deployment.can_be_had();
    for x in 0..protocol.users {
        let mut push = |step| acts.push(Act::Api(step, x as u8));
        if !protocol.is_kubectl(x) {
            match state.clients[x] {
                Client::Idle if can_be_had && (x == 0 || state.claims[x - 1] != 0) => push(Step::Take),
                Client::Claimed => {
                    push(Step::Make);
                    push(Step::Die);
                    if !state.instances[x].here {
                        push(Step::Refuse);
                    }
                }
                Client::Undoes => push(Step::Undo),
                _ => {}
            }
        }
        let instance = state.instances[x];
        if instance.here && !instance.terminate && !instance.ended {
            push(Step::Terminate);
            if protocol.is_kubectl(x) && !instance.finalizer {
                push(Step::Delete);
            }
        }
    }
}

pub fn step(protocol: &Protocol, state: &mut State, step: Step, x: usize) {
    match step {
        Step::Take => {
            take(state, x);
            state.clients[x] = Client::Claimed;
        }
        Step::Make if state.instances[x].here => {
            state.clients[x] = match protocol.orphans {
                Orphans::GiveBack => Client::Undoes,
                Orphans::Tombstone => Client::Over,
            };
        }
        Step::Make => {
            state.instances[x] = Instance { here: true, finalizer: true, ..Instance::default() };
            state.clients[x] = Client::Told;
        }
        Step::Refuse => state.clients[x] = Client::Undoes,
        Step::Die => state.clients[x] = Client::Over,
        Step::Undo => {
            match protocol.api_gives_back {
                true => give_back(state, x),
                false => bury(state, x),
            }
            state.clients[x] = Client::Over;
        }
        Step::Terminate => {
            state.instances[x].terminate = true;
            state.told_to_end[x] = true;
        }
        Step::Delete => {
            state.instances[x] = Instance::default();
            state.told_to_end[x] = true;
        }
    }
}

/// Take the name of an Instance that was not made. Where there is one of that name, it has come.
pub fn bury(state: &mut State, x: usize) {
    if !state.instances[x].here {
        state.instances[x] = Instance { here: true, finalizer: true, terminate: true, ..Instance::default() };
    }
}

/// Take the lease for an instance. The caller has seen that the deployment is free, at this very version.
pub fn take(state: &mut State, x: usize) {
    state.deployment.epoch += 1;
    state.deployment.holder = x as u8 + 1;
    state.claims[x] = state.deployment.epoch;
}

/// Give a lease back, where it is the live one; what of its epoch can run then is noted as a breach.
pub fn give_back(state: &mut State, x: usize) {
    if !state.held_by(x) || state.claims[x] != state.deployment.epoch {
        return;
    }
    let cold = state.pods[x].can_run(state.secrets[x]);
    let warm = state.warm_of(x).is_some_and(|e| state.warm_pods[e].can_run(state.warm_secrets[e]));
    state.early |= cold || warm;
    state.deployment.holder = 0;
    state.deployment.warm = 0;
}
