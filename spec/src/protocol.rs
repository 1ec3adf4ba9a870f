//! The protocol as a model: who may act in a state, and what each act changes.
//!
//! A [`Protocol`] says which order of steps is kept, and how large the world is. The acts themselves are in the
//! modules of their subjects: [`crate::api`], [`crate::instance`], [`crate::deployment`], [`crate::warm`],
//! [`crate::leader`] and [`crate::node`].

use crate::state::*;
use crate::{api, deployment, instance, leader, node, properties, warm};
use stateright::{Model, Property};

/// What may stop a leader between its look at the clock and the arrival of its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The process is stopped. Its clock goes on, so the next check of leadership fails: one write may come late.
    Process,
    /// The machine is stopped, its clocks too: every check passes, and a former leader goes on for as long as it likes.
    Machine,
}

/// How a lease whose Instance does not exist is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// As it was (D1): the deployment's pass looks, clears and gives back.
    GiveBack,
    /// The operator takes the missing Instance's name; the pass over that Instance gives back.
    Tombstone,
}

#[derive(Clone, Debug)]
pub struct Protocol {
    pub leaders: u8,
    pub pause: Pause,
    /// Instances whose lease the API takes, or the operator for those of kubectl.
    pub users: usize,
    /// The last instance is made with kubectl, without a claim: the operator takes its lease.
    pub kubectl: bool,
    pub orphans: Orphans,
    /// D9: Secret, then the compare-and-swap of the Instance that says Bound, then the pod.
    pub ordered: bool,
    /// D9: the Secret is named by a nonce that this compare-and-swap writes.
    pub nonces: bool,
    /// A Secret of a bound instance that is missing is made again under its name: it was so, and must not be.
    pub makes_secrets_again: bool,
    /// Pods are kept warm.
    pub warm: bool,
    /// A warm pod is un-named in the deployment's status, by a compare-and-swap, before it is removed as nobody's.
    pub unnames: bool,
    /// Warm pods for the next epoch that may be found to be of no use.
    pub removals: u8,
    /// D8: the API gives a lease back that opened nothing, whatever its warm pod does. Else it makes a tombstone.
    pub api_gives_back: bool,
    /// D4: a deployment that is deleted waits for its lease. `None`: nobody deletes it.
    pub deletion_waits: Option<bool>,
    /// Pods that may be lost while they serve.
    pub losses: u8,
    /// Leases that were taken for an Instance of kubectl and are found to be beyond its user's quota.
    pub returns: u8,
    /// Such a lease is named in the Instance's status, by a compare-and-swap, before it goes back.
    pub marks: bool,
}

/// An act: one atomic step of one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    Api(api::Step, u8),
    Node(node::Step, u8),
    Administrator(deployment::Administrator),
    Leader(leader::Step),
    /// The next step of a pass: leader, key, choice where there is one.
    Pass(u8, u8, u8),
}

impl Protocol {
    /// Whether the check of leadership of `leader` passes now.
    pub fn may_write(&self, state: &State, leader: u8) -> bool {
        leader == state.leader || (self.pause == Pause::Machine && leader < state.leader)
    }

    /// The nonce that a leader draws, another one in each life of the deployment.
    fn nonce(&self, state: &State, leader: u8) -> Nonce {
        if self.nonces { leader + (state.made - 1 + state.unnamed) * LEADERS as u8 } else { 1 }
    }

    pub fn is_kubectl(&self, x: usize) -> bool {
        self.kubectl && x + 1 == self.users
    }

    /// Choices that a pass has now; none where it cannot go on, or has nothing to do.
    fn choices(&self, state: &State, leader: u8, key: usize) -> u8 {
        let pass = state.passes[leader as usize - 1][key];
        let can = self.may_write(state, leader);
        match pass.at {
            At::Idle if !can => 0,
            At::Idle => self.first(state, leader, key, 0).is_some() as u8 + self.first(state, leader, key, 1).is_some() as u8,
            // Whether it is within the quota is not modelled: it may be found either way.
            At::ReadDeployment if self.is_kubectl(key) && state.held_by(key) => 1 + (state.returns > 0) as u8,
            at if !leader::is_checked(at) => 1,
            At::Open { .. } if pass.checked || self.pause == Pause::Machine => 2,
            _ => (can || pass.checked) as u8,
        }
    }

    /// The step with which a pass over a key begins in this state; None where it has nothing to do. There is a second
    /// choice only for what is kept warm, and a first one wherever there is a second.
    fn first(&self, state: &State, leader: u8, key: usize, choice: u8) -> Option<Pass> {
        match key {
            WARM_KEY if choice == 1 => warm::throws_away(self, state).filter(|_| warm::first(self, state).is_some()),
            WARM_KEY => warm::first(self, state).or_else(|| warm::throws_away(self, state)),
            _ if choice == 1 => None,
            DEPLOYMENT_KEY => deployment::first(self, state),
            TURN_KEY => deployment::first_turn(self, state),
            x => instance::first(self, state, x),
        }
        .map(|pass| Pass { nonce: if pass.nonce == 0 { self.nonce(state, leader) } else { pass.nonce }, ..pass })
    }

    fn go_on(&self, state: &mut State, leader: u8, key: usize, choice: u8) {
        let pass = state.passes[leader as usize - 1][key];
        let follows = if pass.at == At::Idle {
            let begun = self.first(state, leader, key, choice).unwrap_or_default();
            if key == WARM_KEY && warm::throws_away(self, state) == Some(begun) {
                state.removals -= 1;
            }
            begun
        } else if self.pause == Pause::Process && !pass.checked && leader::is_checked(pass.at) {
            Pass { checked: true, ..pass }
        } else {
            let unchecked = Pass { checked: false, ..pass };
            let at = match key {
                WARM_KEY => warm::step(self, state, unchecked),
                DEPLOYMENT_KEY | TURN_KEY => deployment::step(self, state, unchecked),
                x => instance::step(self, state, x, unchecked, choice),
            };
            match at.at {
                At::Idle => Pass::default(),
                _ => at,
            }
        };
        state.passes[leader as usize - 1][key] = follows;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let mut instances = [Instance::default(); INSTANCES];
        for (x, instance) in instances.iter_mut().enumerate().take(self.users) {
            instance.here = self.is_kubectl(x);
        }
        vec![State {
            deployment: Deployment { here: true, finalizer: self.deletion_waits.is_none(), ..Deployment::default() },
            instances,
            claims: [0; INSTANCES],
            secrets: [0; INSTANCES],
            pods: [Pod::default(); INSTANCES],
            warm_secrets: [0; INSTANCES],
            warm_pods: [Pod::default(); INSTANCES],
            clients: [Client::Idle; INSTANCES],
            leader: 1,
            passes: [[Pass::default(); KEYS]; LEADERS],
            told_to_end: [false; INSTANCES],
            losses: self.losses,
            returns: self.returns,
            removals: self.removals,
            unnamed: 0,
            made: 1,
            early: false,
            robbed: false,
        }]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        if state.early || state.robbed {
            return;
        }
        api::acts(self, state, acts);
        node::acts(self, state, acts);
        deployment::administrator_acts(self, state, acts);
        leader::acts(self, state, acts);
        for leader in 1..=state.leader {
            for key in 0..KEYS {
                for choice in 0..self.choices(state, leader, key) {
                    acts.push(Act::Pass(leader, key as u8, choice));
                }
            }
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        match act {
            Act::Api(step, x) => api::step(self, &mut next, step, x as usize),
            Act::Node(step, which) => node::step(&mut next, step, which as usize),
            Act::Administrator(step) => deployment::administrator_step(self, &mut next, step),
            Act::Leader(step) => leader::step(&mut next, step),
            Act::Pass(leader, key, choice) => self.go_on(&mut next, leader, key as usize, choice),
        }
        next.forget_stale_views();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
