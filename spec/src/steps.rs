//! Reads steps.toml, which maps every step of the model to the code that takes it.

use crate::protocol::Act;
use crate::state::{At, State};

const TABLE: &str = include_str!("../steps.toml");

/// Qualified Python name of the code that takes an act in a state.
pub fn name(act: Act, state: &State) -> &'static str {
    let (module, step) = match act {
        Act::Api(step, _) => ("api", format!("{step:?}")),
        Act::Node(step, _) => ("node", format!("{step:?}")),
        Act::Administrator(step) => ("administrator", format!("{step:?}")),
        Act::Leader(step) => ("leader", format!("{step:?}")),
        Act::Pass(leader, key, _) => {
            let at = state.passes[leader as usize - 1][key as usize].at;
            let word = match at {
                At::Idle => "Begin".into(),
                At::Open { .. } => "Open".into(),
                at => format!("{at:?}"),
            };
            ("operator", word)
        }
    };
    let mut inside = false;
    for line in TABLE.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']') == module;
        } else if let Some((key, value)) = line.split_once(" = ") {
            if inside && key == step {
                return value.trim_matches('"');
            }
        }
    }
    panic!("steps.toml names no code for the step {step} of {module}");
}
