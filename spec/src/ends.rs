//! Shows that nothing is lost for good: from every state that can be reached, the end can be reached.
//!
//! Stateright looks at what must come only where a run stops. This looks at every state: it keeps the graph and walks
//! it backwards from the states in which all is settled.

use crate::properties::is_settled;
use crate::protocol::Protocol;
use crate::state::State;
use stateright::Model;
use std::collections::HashMap;

/// States from which the end cannot be reached.
pub fn lost(protocol: &Protocol) -> usize {
    let mut numbers: HashMap<State, u32> = HashMap::new();
    let mut states = protocol.init_states();
    let mut before: Vec<Vec<u32>> = vec![vec![]];
    let mut reaches = vec![false];
    numbers.insert(states[0].clone(), 0);
    let mut acts = vec![];
    let mut at = 0;
    while at < states.len() {
        let state = states[at].clone();
        reaches[at] = is_settled(protocol, &state);
        protocol.actions(&state, &mut acts);
        for next in acts.drain(..).filter_map(|act| protocol.next_state(&state, act)) {
            let number = *numbers.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                before.push(vec![]);
                reaches.push(false);
                states.len() as u32 - 1
            });
            before[number as usize].push(at as u32);
        }
        at += 1;
    }
    let mut open: Vec<usize> = (0..states.len()).filter(|&number| reaches[number]).collect();
    while let Some(number) = open.pop() {
        for &earlier in &before[number] {
            if !reaches[earlier as usize] {
                reaches[earlier as usize] = true;
                open.push(earlier as usize);
            }
        }
    }
    reaches.iter().filter(|&&reaches| !reaches).count()
}
