//! The kubelet: it starts a pod only with the Secret that it mounts, and says when every container has terminated.

use crate::protocol::{Act, Protocol};
use crate::state::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Start the containers. The kubelet may not know yet that the pod is being deleted.
    Start,
    /// Say that every container of a pod that is being deleted has terminated.
    Stop,
    /// The pod is lost while it serves: evicted, or its node went down and came back.
    Lose,
}

/// Pods: those of the instances, then those kept warm.
fn pods(state: &State) -> impl Iterator<Item = (usize, Pod, u8)> + '_ {
    let cold = state.pods.iter().zip(state.secrets);
    let warm = state.warm_pods.iter().zip(state.warm_secrets);
    cold.chain(warm).enumerate().map(|(which, (&pod, secrets))| (which, pod, secrets))
}

pub fn acts(_protocol: &Protocol, state: &State, acts: &mut Vec<Act>) {
    for (which, pod, secrets) in pods(state) {
        let mut push = |step| acts.push(Act::Node(step, which as u8));
        if pod.phase == Phase::Made && secrets & bit(pod.nonce) != 0 {
            push(Step::Start);
        }
        if matches!(pod.phase, Phase::Made | Phase::Runs) && pod.deleting {
            push(Step::Stop);
        }
        if pod.phase == Phase::Runs && !pod.deleting && state.losses > 0 {
            push(Step::Lose);
        }
    }
}

pub fn step(state: &mut State, step: Step, which: usize) {
    let pod = match which.checked_sub(INSTANCES) {
        Some(e) => &mut state.warm_pods[e],
        None => &mut state.pods[which],
    };
    pod.phase = if step == Step::Start { Phase::Runs } else { Phase::Stopped };
    if step == Step::Lose {
        state.losses -= 1;
    }
}
