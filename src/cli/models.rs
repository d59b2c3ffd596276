//! `models`: what can be named with `--model`.

use clap::Args;
use comfy_table::{Table, presets};

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::gateway::catalogue::ModelCatalogue;
use crate::gateway::dialect::Dialect;

/// List the models that have a name here; any provider/model works too, and any name with --api-base
#[derive(Debug, Args)]
pub struct Models {
    /// Print the models as JSON lines
    #[arg(long)]
    json: bool,
}

impl Models {
    pub fn carry_out(self, console: &Console) -> Result {
        let catalogue = ModelCatalogue::built_in().map_err(Failed::bad_input)?;
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "model",
            "provider",
            "checkpoint",
            "dialects",
            "reasoning",
            "$ per million tokens in/out",
            "in the paper",
        ]);
        for model in catalogue.models() {
            let dialects = catalogue.dialects(&model.provider);
            if self.json {
                let line = serde_json::json!({
                    "name": model.name, "provider": model.provider, "checkpoint": model.checkpoint,
                    "dialects": dialects, "reasoning": model.reasoning, "effort": model.effort, "thinking_tokens": model.thinking_tokens,
                    "temperature": model.temperature, "price": model.price, "paper": model.paper,
                });
                console.result(&format!("{line}\n"))?;
                continue;
            }
            let price = match (model.price.input, model.price.output) {
                (Some(input), Some(output)) => format!("{input} / {output}"),
                _ => "unknown".to_owned(),
            };
            let reasoning = match (&model.effort, model.thinking_tokens) {
                (Some(effort), _) => format!("effort {effort}"),
                (None, Some(tokens)) => format!("{tokens} tokens"),
                (None, None) if model.reasoning => "yes".to_owned(),
                (None, None) => "no".to_owned(),
            };
            let dialects: Vec<&str> = dialects.iter().map(|dialect| dialect.name()).collect();
            let paper = model.paper.as_deref().unwrap_or("");
            table.add_row([
                &model.name,
                &model.provider,
                &model.checkpoint,
                &dialects.join(", "),
                &reasoning,
                &price,
                paper,
            ]);
        }
        if !self.json {
            console.result(&format!("{table}\n"))?;
            console
                .result("Scripted, for checks and demos without a key: oracle, oracle:insecure, nop, script:FILE\n")?;
            let all = Dialect::ALL.map(Dialect::name).join(", ");
            console.result(&format!(
                "A server behind --api-base is taken to speak {all}; --dialect says which of them it does\n"
            ))?;
        }
        Ok(Exit::Done)
    }
}
