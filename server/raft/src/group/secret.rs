//! A secret is used only when every voter holds it.

use std::collections::BTreeMap;

use krakend_domain::{Command, SecretHolder, SecretId, voters_without};
use uuid::Uuid;

use super::Inner;
use crate::{error::ProposeError, network::Said, types::MemberId};

impl Inner {
    pub(super) fn set_secrets(&self, holds: &[SecretId], uses: SecretId) {
        let holds = holds.to_vec();
        self.local.secrets.set(&Said { uses, holds });
    }

    /// Which secrets each member holds, as far as this manager knows.
    pub(super) fn secret_holders(&self) -> Vec<SecretHolder> {
        let me = self.local.id();
        let members = self.status().members.into_iter();
        let mut holders: Vec<_> = members
            .map(|member| SecretHolder {
                id: member.id,
                holds: self
                    .local
                    .secrets
                    .of(MemberId(member.id), me)
                    .map(|said| said.holds),
                name: member.node.name,
                voter: member.voter,
            })
            .collect();
        holders.sort_by(|a, b| a.name.cmp(&b.name));
        holders
    }

    /// Which secret each member uses, as far as this manager knows.
    pub(super) fn secrets_used(&self) -> BTreeMap<Uuid, SecretId> {
        let me = self.local.id();
        let members = self.status().members.into_iter();
        let said =
            members.map(|member| (member.id, self.local.secrets.of(MemberId(member.id), me)));
        said.filter_map(|(id, said)| Some((id, said?.uses)))
            .collect()
    }

    /// Whether the group may begin to use the secret that the command names. The leader alone is asked.
    pub(super) fn check_secret(&self, command: &Command) -> Result<(), ProposeError> {
        let id = match command.plain() {
            Command::UseSecret { id, .. } => *id,
            _ => return Ok(()),
        };
        let holders = self.secret_holders();
        let lacking = voters_without(id, &holders);
        let Some(first) = lacking.first() else {
            return Ok(());
        };
        let who = match &first.holds {
            Some(_) => first.name.clone(),
            None => format!("{} (it has not answered this leader)", first.name),
        };
        Err(ProposeError::SecretNotHeld {
            secret: id.to_string(),
            who,
        })
    }
}
