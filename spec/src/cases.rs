//! The table of cases: what each must show.

use crate::properties::{FENCED, KEPT, NOT_EARLY};
use crate::protocol::{Orphans, Pause, Protocol};

pub struct Case {
    pub name: &'static str,
    pub protocol: Protocol,
    /// Properties of which at least one must break; none where all must hold.
    pub breaks: &'static [&'static str],
    /// Explored by `make test` too.
    pub small: bool,
    /// Whether it is also shown that from every state the end can be reached; this keeps the graph in memory.
    pub ends: bool,
}

pub const UNSAFE: &[&str] = &[FENCED, NOT_EARLY];

/// The protocol as it is specified, with one leader and one instance.
const NOW: Protocol = Protocol {
    leaders: 1,
    pause: Pause::Machine,
    users: 1,
    kubectl: false,
    orphans: Orphans::Tombstone,
    ordered: true,
    nonces: true,
    makes_secrets_again: false,
    warm: false,
    unnames: true,
    removals: 0,
    api_gives_back: false,
    deletion_waits: None,
    losses: 0,
    returns: 0,
    marks: true,
};
const WAS: Protocol = Protocol {
    orphans: Orphans::GiveBack,
    pause: Pause::Process,
    ordered: false,
    nonces: false,
    makes_secrets_again: true,
    api_gives_back: true,
    ..NOW
};

fn holds(name: &'static str, small: bool, protocol: Protocol) -> Case {
    Case { name, protocol, breaks: &[], small, ends: small }
}

fn breaks(name: &'static str, protocol: Protocol) -> Case {
    Case { name, protocol, breaks: UNSAFE, small: true, ends: false }
}

pub fn all() -> Vec<Case> {
    let tombstone = Protocol { orphans: Orphans::Tombstone, ..WAS };
    let paused = Protocol { pause: Pause::Machine, ..tombstone };
    let ordered = Protocol { ordered: true, makes_secrets_again: false, ..paused };
    vec![
        breaks("as it was: 1 leader, 2 instances", Protocol { users: 2, ..WAS }),
        holds("tombstone: process pause, 2 leaders, 2 instances", false, Protocol { leaders: 2, users: 2, ..tombstone }),
        breaks("tombstone: process pause, 3 leaders, 1 instance", Protocol { leaders: 3, ..tombstone }),
        breaks("tombstone: machine pause, 2 leaders, 2 instances", Protocol { leaders: 2, users: 2, ..paused }),
        holds("+ order: machine pause, 2 leaders, 2 instances", false, Protocol { leaders: 2, users: 2, ..ordered }),
        breaks("+ order: machine pause, 3 leaders, 1 instance", Protocol { leaders: 3, ..ordered }),
        holds("+ nonce: 1 leader, 2 instances, a pod is lost", true, Protocol { users: 2, losses: 1, ..NOW }),
        holds("+ nonce: machine pause, 2 leaders, 2 instances", false, Protocol { leaders: 2, users: 2, ..NOW }),
        holds("+ nonce: machine pause, 2 leaders, 1 instance, a pod is lost", true, Protocol { leaders: 2, losses: 1, ..NOW }),
        holds("+ nonce: machine pause, 3 leaders, 1 instance", false, Protocol { leaders: 3, ..NOW }),
        breaks("+ nonce, but lost Secrets are made again: 3 leaders", Protocol { leaders: 3, losses: 1, makes_secrets_again: true, ..NOW }),
        holds("kubectl: machine pause, 2 leaders, 1 instance", true, Protocol { leaders: 2, kubectl: true, ..NOW }),
        holds("kubectl after HTTP: 1 leader, 2 instances", true, Protocol { users: 2, kubectl: true, ..NOW }),
        breaks("warm, as it was: process pause, 2 leaders, 2 instances", Protocol { leaders: 2, users: 2, warm: true, ..tombstone }),
        breaks("warm, the API gives back: 1 leader, 2 instances", Protocol { users: 2, warm: true, api_gives_back: true, ..NOW }),
        holds("warm: 1 leader, 2 instances", true, Protocol { users: 2, warm: true, ..NOW }),
        holds("warm, of no use: 1 leader, 1 instance", true, Protocol { warm: true, removals: 1, ..NOW }),
        holds("warm, of no use: process pause, 2 leaders, 1 instance", false, Protocol { leaders: 2, pause: Pause::Process, warm: true, removals: 1, ..NOW }),
        Case { breaks: &[KEPT], ..breaks("warm, of no use, and not un-named: 1 leader, 1 instance", Protocol { warm: true, removals: 1, unnames: false, ..NOW }) },
        holds("warm: machine pause, 2 leaders, 1 instance", false, Protocol { leaders: 2, warm: true, ..NOW }),
        breaks("deletion, as it was: 1 leader, 2 instances", Protocol { users: 2, deletion_waits: Some(false), ..NOW }),
        holds("deletion waits: 1 leader, 2 instances", true, Protocol { users: 2, deletion_waits: Some(true), ..NOW }),
        holds("deletion waits: machine pause, 2 leaders, 1 instance", true, Protocol { leaders: 2, deletion_waits: Some(true), ..NOW }),
        holds("deletion waits, warm: process pause, 2 leaders, 1 instance", false, Protocol { leaders: 2, pause: Pause::Process, warm: true, deletion_waits: Some(true), ..NOW }),
        holds("unused: machine pause, 2 leaders, 1 instance", true, Protocol { leaders: 2, kubectl: true, returns: 1, ..NOW }),
        breaks("unused, and not marked: machine pause, 2 leaders, 1 instance", Protocol { leaders: 2, kubectl: true, returns: 1, marks: false, ..NOW }),
        holds("unused, warm: machine pause, 2 leaders, 1 instance", false, Protocol { leaders: 2, kubectl: true, warm: true, returns: 1, ..NOW }),
    ]
}
