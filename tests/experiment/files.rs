//! The files of `experiments/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mtsec_agents::experiment::{Experiment, Overrides};
use mtsec_agents::gateway::catalogue::ModelCatalogue;
use mtsec_agents::plan::Endpoints;
use mtsec_agents::recipe::Recipe;
use mtsec_agents::runner::{Request, resolve};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

/// The recipe of a scaffold, read once: there are hundreds of cells.
fn recipe<'a>(known: &'a mut BTreeMap<String, Recipe>, scaffold: &str) -> &'a Recipe {
    let read = || Recipe::builtin(scaffold).unwrap();
    known.entry(scaffold.to_owned()).or_insert_with(read)
}

/// Every file, by its name.
pub fn files() -> Vec<(String, Experiment)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let read = |name: String| {
        let experiment = Experiment::read(&folder().join(&name)).unwrap_or_else(|error| panic!("{error}"));
        (name, experiment)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn each_asks_for_what_its_table_shows() {
    // Cells, and cells by their interactions: counted in the paper's tables, not in the files.
    let expected = [
        ("demo.yaml", 16, 64),
        // Six models, five bars.
        ("figure3.yaml", 6, 30),
        // 35 rows of four columns.
        ("table1.yaml", 35, 140),
        // Four models, five variants, four columns.
        ("table10.yaml", 20, 80),
        // Three models, three formats, four columns.
        ("table11.yaml", 9, 36),
        ("table13.yaml", 6, 18),
        // Ten rows of seven columns; what is said last is said in one turn, too: the same cell.
        ("table2.yaml", 50, 70),
        // Seven rows of two columns.
        ("table3.yaml", 14, 14),
        ("table6.yaml", 6, 18),
        // Six models, five lengths.
        ("table7.yaml", 30, 30),
        // Four models in two interactions; its three columns are one trial's verdicts.
        ("table8.yaml", 4, 8),
        // 16 models, with and without the agent, four columns.
        ("table9.yaml", 32, 128),
    ];
    let found: Vec<(String, usize, usize)> = files()
        .into_iter()
        .map(|(name, experiment)| {
            let cells = experiment.cells(&Overrides::default());
            let rows = cells.iter().map(|cell| cell.interactions.len()).sum();
            (name, cells.len(), rows)
        })
        .collect();
    let found: Vec<(&str, usize, usize)> = found
        .iter()
        .map(|(name, cells, rows)| (name.as_str(), *cells, *rows))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_real_agents_can_do_what_each_asks_for() {
    let overrides = Overrides {
        models: vec!["oracle".into()],
        ..Overrides::default()
    };
    let mut recipes = BTreeMap::new();
    for (name, experiment) in files() {
        let mut ids = BTreeSet::new();
        let cells = experiment.cells(&overrides);
        for wanted in &cells {
            let recipe = recipe(&mut recipes, &wanted.asked.scaffold);
            let resolved = resolve::cell(&wanted.asked, recipe, &Request::default())
                .unwrap_or_else(|error| panic!("{}", experiment.wrong(wanted, error.to_string())));
            assert!(ids.insert(resolved.cell.id()), "{name}: two cells are one: {wanted:?}");
        }
    }
}

#[test]
fn every_model_is_in_the_catalogue_and_speaks_with_its_agent() {
    let catalogue = ModelCatalogue::built_in().unwrap();
    // As experiments/README.md says it.
    let local = Endpoints::of(&["local=http://127.0.0.1:1/v1".parse().unwrap()]).unwrap();
    let mut recipes = BTreeMap::new();
    for (name, experiment) in files() {
        for wanted in experiment.cells(&Overrides::default()) {
            let asked = &wanted.asked;
            let known = catalogue.models().iter().find(|model| model.name == asked.model);
            assert!(
                known.is_some() || asked.model.starts_with("oracle"),
                "{name}: {}",
                asked.model
            );
            let key = |_: &str| Some("key".to_owned());
            let model = catalogue.resolve_at(&asked.model, &local, &key).unwrap();
            let options = &asked.options;
            let settings = model
                .settings(options.reasoning_effort.as_deref(), options.thinking_tokens)
                .unwrap();
            model.check_thinking(options.thinking_tokens).unwrap();
            let recipe = recipe(&mut recipes, &asked.scaffold);
            let dialect = model.common(&recipe.source.speaks, &settings);
            assert!(
                dialect.is_some_and(|dialect| settings.unsaid(dialect).is_none()),
                "{name}: {asked:?}"
            );
            if let Some(critic) = &options.critic {
                catalogue.resolve_at(critic, &local, &key).unwrap();
            }
        }
    }
}
