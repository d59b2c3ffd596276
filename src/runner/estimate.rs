//! What trials may use that were not run yet: by what others have used, or by what their recipe says.

use std::collections::HashMap;

use serde::Serialize;

use super::resolve::ResolvedCell;
use crate::conversation::Interaction;
use crate::dataset::prompt::{self, PromptError};
use crate::gateway::catalogue::ModelSpec;
use crate::gateway::model::{Pricing, Tokens, tokens_of};
use crate::plan::{Cell, Lock, TrialKey};
use crate::recipe::{Recipe, Traffic};
use crate::store::{RunFolder, StoreError};
use crate::task::Task;
use crate::trial::{Outcome, Usage};

/// What is told to an agent of failed tests, in tokens: nobody knows before which tests will fail.
const FEEDBACK: u64 = 300;

/// What an estimate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Trials of the same cell and interaction, in the run.
    Cell,
    /// Trials of the same scaffold and interaction with other models or options, in the run.
    Scaffold,
    /// The recipe's measurement and the lengths of the prompts.
    Recipe,
    /// The lengths of the prompts: the recipe tells nothing.
    Prompts,
}

/// What some trials may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// In US dollars; `None`: a price is not known.
    pub cost: Option<f64>,
}

impl Estimate {
    pub const NOTHING: Self = Self {
        input_tokens: 0,
        output_tokens: 0,
        cost: Some(0.0),
    };

    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost = self.cost.zip(other.cost).map(|(mine, theirs)| mine + theirs);
    }

    fn of(input: f64, output: f64, pricing: &Pricing) -> Self {
        let (input, output) = (input.round() as u64, output.round() as u64);
        let tokens = Tokens {
            input,
            output,
            ..Tokens::default()
        };
        Self {
            input_tokens: input,
            output_tokens: output,
            cost: pricing.cost(&tokens),
        }
    }
}

fn is_scripted(cell: &Cell) -> bool {
    ModelSpec::parse(&cell.model).is_scripted()
}

/// What trials of a run have used, by their cells and scaffolds.
#[derive(Debug, Default)]
pub struct Used {
    by_cell: HashMap<(String, Interaction), (u64, Usage)>,
    /// The scripted apart from the others: what they write is of another length.
    by_scaffold: HashMap<(String, bool, Interaction), (u64, Usage)>,
}

impl Used {
    /// # Errors
    /// The run folder cannot be read.
    pub fn of(run: &RunFolder, lock: &Lock) -> Result<Self, StoreError> {
        let cells: HashMap<String, &Cell> = lock.cells.iter().map(|cell| (cell.id(), cell)).collect();
        let mut used = Self::default();
        for key in &lock.trials {
            let (Some(cell), Some(record)) = (cells.get(&key.cell), run.trial(key).whole_record()?) else {
                continue;
            };
            // What was not counted would make the others look cheap.
            if !matches!(record.outcome, Outcome::Judged { .. }) || record.usage.uncounted > 0 {
                continue;
            }
            let of_scaffold = (cell.scaffold.clone(), is_scripted(cell), key.interaction);
            for (count, sum) in [
                used.by_cell.entry((key.cell.clone(), key.interaction)).or_default(),
                used.by_scaffold.entry(of_scaffold).or_default(),
            ] {
                *count += 1;
                sum.add(&record.usage);
            }
        }
        Ok(used)
    }

    /// What further trials of a cell under an interaction may use, and what this rests on.
    ///
    /// # Errors
    /// One of the tasks has no such conversation.
    pub fn estimate(
        &self,
        resolved: &ResolvedCell,
        recipe: &Recipe,
        interaction: Interaction,
        trials: &[(&Task, &TrialKey)],
    ) -> Result<(Estimate, Basis), PromptError> {
        let (cell, pricing) = (&resolved.cell, &resolved.model.pricing);
        let count = trials.len() as f64;
        let mean = |(known, sum): &(u64, Usage)| {
            let times = count / *known as f64;
            let (input, output) = (sum.input_tokens as f64 * times, sum.output_tokens as f64 * times);
            (Estimate::of(input, output, pricing), sum.cost.map(|cost| cost * times))
        };
        if let Some(known) = self.by_cell.get(&(cell.id(), interaction)) {
            let (estimate, paid) = mean(known);
            // The cell's own trials know what was in the provider's cache.
            let cost = paid.or(estimate.cost);
            return Ok((Estimate { cost, ..estimate }, Basis::Cell));
        }
        let of_scaffold = (cell.scaffold.clone(), is_scripted(cell), interaction);
        if let Some(known) = self.by_scaffold.get(&of_scaffold) {
            return Ok((mean(known).0, Basis::Scaffold));
        }
        let (traffic, basis) = match recipe.source.estimate {
            Some(traffic) => (traffic, Basis::Recipe),
            None => (Traffic::BARE, Basis::Prompts),
        };
        let manner = recipe.manner(&cell.options);
        let more = cell.options.feedback.turns(interaction);
        let (mut input, mut output) = (0.0, 0.0);
        let mut lengths: HashMap<&str, (f64, f64)> = HashMap::new();
        for (task, _) in trials {
            let (one_input, one_output) = match lengths.get(task.id.as_str()) {
                Some(known) => *known,
                None => {
                    let said = prompt::conversation_for(task, interaction, manner)?;
                    let turns = said.turns.iter().map(|turn| tokens_of(turn));
                    let added = said.system.as_deref().map_or(0, tokens_of);
                    let traffic = Traffic {
                        system_tokens: traffic.system_tokens + added as f64,
                        ..traffic
                    };
                    traffic.of(turns.chain((0..more).map(|_| FEEDBACK)))
                }
            };
            lengths.insert(&task.id, (one_input, one_output));
            input += one_input;
            output += one_output;
        }
        Ok((Estimate::of(input, output, pricing), basis))
    }
}
