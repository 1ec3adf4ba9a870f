//! What must hold in every state, and what must come.

use crate::protocol::Protocol;
use crate::state::*;
use stateright::Property;

/// I2: a container runs only under the lease of its own instance and epoch; one that is kept warm, while nobody has
/// the lease or its own epoch is held.
pub fn is_fenced(state: &State) -> bool {
    let cold = (0..INSTANCES).all(|x| state.pods[x].phase != Phase::Runs || state.held_by(x));
    let warm = (0..INSTANCES).all(|e| {
        let pod = state.warm_pods[e];
        if pod.phase != Phase::Runs {
            return true;
        }
        let deployment = state.deployment;
        match deployment.holder {
            0 => deployment.here && deployment.epoch as usize == e,
            _ => deployment.epoch as usize == e + 1,
        }
    });
    cold && warm
}

/// I4 for clients: one that was answered 200 keeps the lease until its user ends it.
pub fn keeps_promises(state: &State) -> bool {
    (0..INSTANCES).all(|x| {
        state.clients[x] != Client::Told || state.told_to_end[x] || (state.held_by(x) && !state.instances[x].ends)
    })
}

/// I5: nothing of an instance that has ended runs.
pub fn stays_ended(state: &State) -> bool {
    (0..INSTANCES).all(|x| !state.instances[x].ended || state.pods[x].phase != Phase::Runs)
}

/// Everything that was begun is finished and given back, and nothing is left of it.
pub fn is_settled(protocol: &Protocol, state: &State) -> bool {
    let clients = (0..protocol.users).all(|x| match state.clients[x] {
        Client::Idle => protocol.is_kubectl(x) && (state.claims[x] != 0 || state.told_to_end[x]) || !state.deployment.here,
        Client::Told | Client::Over => true,
        _ => false,
    });
    let instances = (0..protocol.users).all(|x| {
        let instance = state.instances[x];
        (!instance.here || instance.ended) && state.secrets[x] == 0 && state.pods[x].phase == Phase::Absent
    });
    let epoch = state.deployment.epoch as usize;
    let warm = (0..INSTANCES).all(|e| {
        let coming = e == epoch && state.deployment.can_be_had();
        coming || (state.warm_secrets[e] == 0 && state.warm_pods[e].phase == Phase::Absent)
    });
    clients && instances && warm && state.deployment.holder == 0
}

pub const FENCED: &str = "fenced";
pub const NOT_EARLY: &str = "not early";
pub const PROMISED: &str = "what was promised is kept";
pub const ENDED: &str = "what has ended runs no more";
pub const KEPT: &str = "what was lent is not removed as nobody's";
pub const SETTLED: &str = "all is given back in the end";
pub const USED: &str = "an instance was served";

pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(FENCED, |_, state| is_fenced(state)),
        Property::always(NOT_EARLY, |_, state: &State| !state.early),
        Property::always(PROMISED, |_, state| keeps_promises(state)),
        Property::always(ENDED, |_, state| stays_ended(state)),
        Property::always(KEPT, |_, state: &State| !state.robbed),
        // Looked at where nothing more can happen: a run that stops there has been settled.
        Property::eventually(SETTLED, is_settled),
        Property::sometimes(USED, |protocol: &Protocol, state: &State| {
            let last = protocol.users - 1;
            state.pod_of(last).phase == Phase::Runs && state.held_by(last) && state.instances[last].nonce != 0
        }),
    ]
}
