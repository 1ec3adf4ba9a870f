//! The state of the world: what the API server stores, what runs on the node, and where each process stands.
//!
//! An instance's index stands for its public id. Instance 0 takes its lease first.

use std::hash::{Hash, Hasher};

/// Most instances, leaders and nonces of a case. Arrays have this size; a case uses a part of them.
pub const INSTANCES: usize = 2;
pub const LEADERS: usize = 3;
/// Passes of one leader that go on side by side: one for each Instance, one for the deployment, one for its warm pod,
/// one for its queue. Passes over one key never overlap in one process.
pub const KEYS: usize = INSTANCES + 3;
pub const DEPLOYMENT_KEY: usize = INSTANCES;
pub const WARM_KEY: usize = INSTANCES + 1;
pub const TURN_KEY: usize = INSTANCES + 2;

/// A nonce; 0 is none. Leader `l` draws the nonce `l` while the deployment is the first of its name; where Secrets are
/// named without a nonce all are named 1.
pub type Nonce = u8;

/// `WorkspaceDeployment`: its lease, epoch, and the nonce of the pod that is kept warm for the next epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Deployment {
    pub here: bool,
    pub deleting: bool,
    pub finalizer: bool,
    pub epoch: u8,
    /// Who has the lease: index of the instance plus one; 0 is nobody.
    pub holder: u8,
    pub warm: Nonce,
}

impl Deployment {
    /// Whether somebody may take its lease.
    pub fn can_be_had(&self) -> bool {
        self.here && self.holder == 0 && self.finalizer && !self.deleting
    }
}

/// `Instance`. A bound one has a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Instance {
    pub here: bool,
    pub finalizer: bool,
    pub terminate: bool,
    /// `status.reason` is written: it ends, and that cannot be undone.
    pub ends: bool,
    /// `status.endTime` is written.
    pub ended: bool,
    pub nonce: Nonce,
    /// Its pod is the one that was kept warm for its epoch.
    pub warm: bool,
    /// `status.returned`: epoch of the lease that was taken for it and goes back unused; 0 is none.
    pub returned: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Absent,
    /// The object is there; no container has run.
    Made,
    Runs,
    /// The kubelet has said that every container terminated.
    Stopped,
}

/// A pod, which mounts the Secret of its nonce and cannot start without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pod {
    pub phase: Phase,
    pub deleting: bool,
    pub nonce: Nonce,
}

/// How far a client's `POST /new` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Client {
    #[default]
    Idle,
    /// The lease is taken, the Instance not made.
    Claimed,
    /// It was answered 200.
    Told,
    /// The Instance was surely not made: the lease is to be given back.
    Undoes,
    /// It was answered otherwise, or never.
    Over,
}

/// Where a pass stands: the step that it takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum At {
    #[default]
    Idle,
    SetFinalizer,
    ReadDeployment,
    MakeSecret,
    Bind,
    MakePod,
    /// As it was: the pod and the status that says Bound are written side by side; what is still to come.
    Open { pod: bool, status: bool },
    BindWarm,
    MakeSecretAgain,
    MarkUnused,
    ClearUnused,
    LookForUnused,
    GiveBackUnused,
    Retire,
    End,
    DeleteSecrets,
    DeletePod,
    LookForPods,
    LookForSecrets,
    GiveBack,
    WriteEnd,
    Tombstone,
    ClearOrphan,
    LookForOrphan,
    GiveBackOrphan,
    LookForEarlier,
    HoldDeployment,
    LookForRemains,
    LetDeploymentGo,
    TakeTurn,
    WarmSecret,
    WarmNonce,
    WarmPod,
    UnnameWarm,
    RemoveWarmPod,
    RemoveWarmSecret,
}

/// A pass over one key: its next step, and the Instance as its cache had it when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pass {
    pub at: At,
    pub seen: Instance,
    /// Instance, or epoch of a warm pair, that a pass over the deployment is about; epoch of a pass over an Instance.
    pub about: u8,
    /// The nonce that it has drawn, or that of the warm pod which it takes or removes.
    pub nonce: Nonce,
    /// The check of leadership before the next write has passed.
    pub checked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub deployment: Deployment,
    pub instances: [Instance; INSTANCES],
    /// Claims of the instances: epochs that were taken for them.
    pub claims: [u8; INSTANCES],
    /// Nonces of the Secrets that are there, as bits.
    pub secrets: [u8; INSTANCES],
    pub pods: [Pod; INSTANCES],
    /// The same for what is kept warm, by epoch less one.
    pub warm_secrets: [u8; INSTANCES],
    pub warm_pods: [Pod; INSTANCES],
    pub clients: [Client; INSTANCES],
    /// Leaders so far; the last of them leads.
    pub leader: u8,
    pub passes: [[Pass; KEYS]; LEADERS],
    /// The user has asked for the end.
    pub told_to_end: [bool; INSTANCES],
    /// Pods that may still be lost.
    pub losses: u8,
    /// Leases that may still be found to be beyond their user's quota.
    pub returns: u8,
    /// Warm pods for the next epoch that may still be found to be of no use, such as after a day.
    pub removals: u8,
    /// Times that the status was made to name no warm pod: another nonce is drawn after each.
    pub unnamed: u8,
    /// Times that the deployment was made.
    pub made: u8,
    /// A lease was given back while something of its epoch ran or could start.
    pub early: bool,
    /// A warm pod was deleted as nobody's while its holder used it.
    pub robbed: bool,
}

impl State {
    pub fn held_by(&self, x: usize) -> bool {
        self.deployment.holder as usize == x + 1
    }

    /// Forget what passes have seen of an Instance that has changed since. It never changes back, so a write at that
    /// version fails whatever exactly was seen: states that differ in nothing else are one. The nonce stays, since a
    /// pod is made by it.
    pub fn forget_stale_views(&mut self) {
        for passes in &mut self.passes {
            for (pass, now) in passes.iter_mut().zip(&self.instances) {
                if pass.at != At::Idle && pass.seen != *now {
                    let Instance { nonce, warm, .. } = pass.seen;
                    // No Instance looks like this: one that has ended, and is not there.
                    let stale = Instance { ended: true, ..Instance::default() };
                    pass.seen = match pass.at {
                        At::MakePod | At::MakeSecretAgain | At::Retire => Instance { nonce, warm, ..stale },
                        _ => stale,
                    };
                }
            }
        }
    }

    /// The pair that is kept warm for the epoch of an instance's claim.
    pub fn warm_of(&self, x: usize) -> Option<usize> {
        (self.claims[x] as usize).checked_sub(1)
    }

    /// Whether anything of a lease or a warm pod is there.
    pub fn has_remains(&self) -> bool {
        let there = |(pod, &secrets): (&Pod, &u8)| pod.phase != Phase::Absent || secrets != 0;
        self.pods.iter().zip(&self.secrets).any(there) || self.warm_pods.iter().zip(&self.warm_secrets).any(there)
    }

    /// The pod that serves an instance.
    pub fn pod_of(&self, x: usize) -> Pod {
        match self.warm_of(x) {
            Some(e) if self.instances[x].warm => self.warm_pods[e],
            _ => self.pods[x],
        }
    }
}

pub fn bit(nonce: Nonce) -> u8 {
    1 << nonce
}

impl Pod {
    pub fn made(nonce: Nonce) -> Pod {
        Pod { phase: Phase::Made, nonce, ..Pod::default() }
    }

    /// Whether a container runs, or the kubelet can still start one.
    pub fn can_run(&self, secrets: u8) -> bool {
        self.phase == Phase::Runs || (self.phase == Phase::Made && secrets & bit(self.nonce) != 0)
    }

    /// Ask for its deletion: what may run stays until the kubelet has spoken.
    pub fn delete(&mut self) {
        match self.phase {
            Phase::Made | Phase::Runs => self.deleting = true,
            Phase::Stopped | Phase::Absent => *self = Pod::default(),
        }
    }
}

// Small structures are hashed as one number: exploring spends half of its time on hashing.

impl Hash for Deployment {
    fn hash<H: Hasher>(&self, h: &mut H) {
        let flags = self.here as u32 | (self.deleting as u32) << 1 | (self.finalizer as u32) << 2;
        h.write_u32(flags | (self.epoch as u32) << 8 | (self.holder as u32) << 16 | (self.warm as u32) << 24);
    }
}

impl Instance {
    pub fn packed(&self) -> u16 {
        let flags = [self.here, self.finalizer, self.terminate, self.ends, self.ended, self.warm];
        let numbers = self.nonce as u16 | (self.returned as u16) << 14;
        flags.iter().enumerate().fold(numbers, |all, (at, &flag)| all | (flag as u16) << (8 + at))
    }
}

impl Hash for Instance {
    fn hash<H: Hasher>(&self, h: &mut H) {
        h.write_u16(self.packed());
    }
}

impl Hash for Pod {
    fn hash<H: Hasher>(&self, h: &mut H) {
        h.write_u16(self.phase as u16 | (self.deleting as u16) << 3 | (self.nonce as u16) << 4);
    }
}

impl Hash for Pass {
    fn hash<H: Hasher>(&self, h: &mut H) {
        self.at.hash(h);
        if self.at != At::Idle {
            let numbers = (self.about as u32) << 1 | (self.nonce as u32) << 4 | self.checked as u32;
            h.write_u32((self.seen.packed() as u32) << 16 | numbers);
        }
    }
}
