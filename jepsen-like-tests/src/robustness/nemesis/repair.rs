use anyhow::Result;
use rand::rngs::StdRng;

use super::hands::Hands;
use crate::robustness::host::{Damage, damage};

/// What came of a damaged file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Damaged {
    pub machine: String,
    pub file: String,
    pub what: String,
    /// How it ended when it refused; absent when it ran on.
    pub refused: Option<String>,
    /// Whether its log names the file, or the directory that the file is in.
    pub named: bool,
}

impl Hands {
    /// Stops a manager, damages one of its files and starts it again.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn damage(&self, number: usize, rng: &mut StdRng) -> Result<Option<Damage>> {
        let mut machines = self.machines.lock().await;
        let machine = &mut machines[number];
        machine.kill().await?;
        // A manager that has not come far enough to have files is only restarted.
        let Ok(damage) = damage(&machine.data_dir(), rng) else {
            machine.start()?;
            return Ok(None);
        };
        (machine.damaged, machine.restarted) = (true, false);
        machine.log_mark();
        machine.start()?;
        Ok(Some(damage))
    }

    /// Looks what the manager made of it. One that refused gets the file back as it was, as from a good copy.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn repair(&self, number: usize, damage: Option<&Damage>) -> Result<()> {
        let Some(damage) = damage else {
            return Ok(());
        };
        let mut machines = self.machines.lock().await;
        let machine = &mut machines[number];
        machine.damaged = false;
        let refused = machine.take_end();
        let said = machine.log_since_mark();
        let names = damage.file.ancestors().take(3);
        let named = names
            .take_while(|path| *path != machine.data_dir())
            .any(|path| said.contains(&path.display().to_string()));
        if refused.is_some() {
            damage.undo()?;
            machine.start()?;
        }
        self.damaged.lock().await.push(Damaged {
            machine: machine.name.clone(),
            file: damage.file.display().to_string(),
            what: damage.what.clone(),
            refused,
            named,
        });
        Ok(())
    }

    /// What was damaged so far.
    pub async fn damaged(&self) -> Vec<Damaged> {
        self.damaged.lock().await.clone()
    }
}
