//! Who leads, and the check of leadership before each write.

use crate::protocol::{Act, Protocol};
use crate::state::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Another replica takes the leader's Lease: the former leader was not heard for long enough.
    Acquire,
}

/// Whether the step is a write, before which leadership is checked. Reads need no leadership.
pub fn is_checked(at: At) -> bool {
    match at {
        At::Idle | At::ReadDeployment | At::LookForPods | At::LookForSecrets | At::LookForOrphan => false,
        At::LookForUnused | At::LookForEarlier | At::LookForRemains => false,
        // Two writes that go side by side are checked and sent together: the second is under way already.
        At::Open { pod, status } => pod && status,
        _ => true,
    }
}

pub fn acts(protocol: &Protocol, state: &State, acts: &mut Vec<Act>) {
    if state.leader < protocol.leaders {
        acts.push(Act::Leader(Step::Acquire));
    }
}

pub fn step(state: &mut State, step: Step) {
    match step {
        Step::Acquire => state.leader += 1,
    }
}
