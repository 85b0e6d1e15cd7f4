//! What is new is used only when every voter can apply it.

use krakend_domain::Command;

use super::Inner;
use crate::error::ProposeError;

impl Inner {
    /// Whether the group may apply this command yet. The leader alone is asked.
    pub(super) fn check_level(&self, command: &Command) -> Result<(), ProposeError> {
        let (needs, is) = (command.needs_level(), self.local.feature_level());
        // A group that has not begun has no level; its first commands are as old as the group.
        if needs > is.max(1) {
            return Err(ProposeError::FeatureLevel { needs, is });
        }
        match raises_to(command) {
            Some(level) => self.all_support(level),
            None => Ok(()),
        }
    }

    fn all_support(&self, level: u32) -> Result<(), ProposeError> {
        let supported = self.local.supported();
        let voters = self.voters();
        let lacks = |id| supported.get(id).is_none_or(|it| *it < level);
        let Some(id) = voters.iter().find(|id| lacks(id)) else {
            return Ok(());
        };
        let members = self.status().members;
        let member = members.iter().find(|member| member.id == id.0);
        let name = member.map_or_else(|| id.to_string(), |member| member.node.name.clone());
        let who = match supported.get(id) {
            Some(known) => format!("{name}, which supports {known}"),
            None => format!("{name}, as far as is known: it has not answered this leader"),
        };
        Err(ProposeError::NotSupported { level, who })
    }
}

fn raises_to(command: &Command) -> Option<u32> {
    match command.plain() {
        Command::RaiseFeatureLevel { level, .. } => Some(*level),
        _ => None,
    }
}
