//! Pins: operators that people have a pipeline stay with. A pin needs no run.

use sluice_core::deploy::Operators;

use super::{Deployments, shown};
use crate::pipeline::orders::Reply;

impl Deployments {
    /// Pins the pipeline to these operators, which run or ran as this generation.
    pub async fn stay_with(&mut self, operators: Operators, generation: u64) -> Reply {
        let (name, runs) = (self.name(), shown(&operators));
        self.pin(Some(operators)).await?;
        Ok(format!(
            "{name} stays with generation {generation} ({runs}), whatever is deployed, until `sluice unpin {name}`"
        ))
    }

    /// Pins the pipeline to the operators that ran last.
    pub async fn stay_with_what_ran(&mut self) -> Reply {
        let ran = self.running().map(|ran| (ran.operators.clone(), ran.generation));
        let (operators, generation) = ran.ok_or("nothing ran yet that the pipeline could stay with")?;
        self.stay_with(operators, generation).await
    }

    /// Removes the pin.
    pub async fn unpin(&mut self) -> Reply {
        let name = self.name();
        if self.pinned().is_none() {
            return Err(format!("{name} is not pinned"));
        }
        self.pin(None).await?;
        Ok(format!("{name} takes what is newest"))
    }

    /// Pins the pipeline to the operators of an earlier generation, which the next run begins with.
    pub async fn start_with(&mut self, generation: Option<u64>) -> Reply {
        let running = self.running().map(|running| running.operators.clone()).unwrap_or_default();
        let (back, _) = self.roll_back_to(running, generation).await?;
        let name = self.name();
        self.pin(Some(back.operators.clone())).await?;
        Ok(format!(
            "{name} is pinned to the operators of generation {} ({}) and starts with them from its checkpoint; `sluice status` \
             says how that goes",
            back.generation,
            shown(&back.operators)
        ))
    }

    /// Checks that the pipeline can go back to these operators: it can't if its file names others now.
    pub(super) fn check_names(&self, operators: &Operators) -> Result<(), String> {
        let missing: Vec<&str> = self.names().filter(|name| !operators.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "that generation had no operator {}, which the pipeline's file names now: change the file back",
            missing.join(", ")
        ))
    }
}
