//! From what a user types to a model.

use mtsec_agents::gateway::catalogue::{Backend, ModelCatalogue, ModelError, ModelSpec, ResolvedModel};
use mtsec_agents::gateway::dialect::Dialect;
use mtsec_agents::gateway::upstream::Temperature;
use mtsec_agents::plan::Endpoints;

fn resolve_with_keys(name: &str, base: Option<&str>, keys: &[&str]) -> Result<ResolvedModel, ModelError> {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    catalogue.resolve_with(name, base, &|variable| {
        keys.contains(&variable).then(|| format!("key-of-{variable}"))
    })
}

fn resolve(name: &str) -> ResolvedModel {
    resolve_with_keys(name, None, &["OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"]).expect("a model")
}

fn upstream(model: &ResolvedModel) -> (String, Option<String>) {
    match &model.backend {
        Backend::Upstream { api_base, key } => (api_base.to_string(), key.as_ref().map(|key| key.reveal().to_owned())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_table_holds_every_model_of_the_paper() {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let papers: std::collections::BTreeSet<_> = catalogue
        .models()
        .iter()
        .filter_map(|entry| entry.paper.as_deref())
        .collect();
    assert_eq!(papers.len(), 36);
    for entry in catalogue.models() {
        let thinks = entry
            .paper
            .as_deref()
            .is_some_and(|paper| paper.ends_with("[thinking]"));
        assert_eq!(entry.reasoning, thinks, "{}", entry.name);
        assert_eq!(
            entry.temperature == Some(0.0),
            !thinks || entry.provider == "gemini",
            "{}",
            entry.name
        );
        let resolved = resolve_with_keys(&entry.name, Some("http://localhost:1/v1"), &[]).expect("a model");
        assert_eq!(resolved.wire_model, entry.checkpoint);
    }
}

/// The rows of the table in the notes on the paper: its name for a model, and the checkpoint.
fn rows_of_the_paper(notes: &str) -> Vec<(String, String)> {
    let rows = notes.lines().filter_map(|line| {
        let (name, checkpoint) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let checkpoint = checkpoint.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), checkpoint.to_owned()))
    });
    rows.collect()
}

#[test]
fn the_table_says_what_the_paper_says() {
    let notes = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/paper/models.md");
    let Ok(notes) = std::fs::read_to_string(notes) else {
        eprintln!("skipped: {notes} is not there");
        return;
    };
    let wanted = rows_of_the_paper(&notes);
    assert_eq!(wanted.len(), 36);
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let keys = [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "DEEPSEEK_API_KEY",
    ];
    for (paper, checkpoint) in wanted {
        let mut entries = catalogue.models().iter();
        let entry = entries.find(|entry| entry.paper.as_deref() == Some(paper.as_str()));
        let entry = entry.unwrap_or_else(|| panic!("no model is `{paper}`"));
        assert_eq!(entry.checkpoint, checkpoint, "{paper}");
        let thinks = paper.ends_with("[thinking]");
        let provider = match checkpoint.as_str() {
            name if name.starts_with("gpt-") || name.starts_with('o') => "openai",
            name if name.starts_with("claude-") => "anthropic",
            name if name.starts_with("gemini-") => "gemini",
            name if name.starts_with("deepseek-") => "deepseek",
            _ => "local",
        };
        assert_eq!(entry.provider, provider, "{paper}");
        // o1-mini is the one reasoning model of OpenAI that takes no level.
        let effort = (thinks && provider == "openai" && entry.name != "o1-mini").then_some("low");
        assert_eq!(entry.effort.as_deref(), effort, "{paper}");
        let budget = (thinks && ["anthropic", "gemini"].contains(&provider)).then_some(4000);
        assert_eq!(entry.thinking_tokens, budget, "{paper}");
        let temperature = match (thinks, provider) {
            (false, _) | (true, "gemini") => Some(0.0),
            (true, "local" | "deepseek") => Some(0.7),
            (true, _) => None,
        };
        assert_eq!(entry.temperature, temperature, "{paper}");
        let base = (provider == "local").then_some("http://localhost:1/v1");
        let model = resolve_with_keys(&entry.name, base, &keys).expect("a model that can be called");
        model.settings(None, None).expect("settings");
    }
}

#[test]
fn names_may_have_their_provider_in_front() {
    for name in ["o3", "openai/o3", "o3-2025-04-16", "openai/o3-2025-04-16"] {
        let model = resolve(name);
        assert_eq!(model.wire_model, "o3-2025-04-16");
        assert_eq!((model.effort.as_deref(), model.temperature), (Some("low"), None));
        assert_eq!(
            upstream(&model),
            (
                "https://api.openai.com/v1".to_owned(),
                Some("key-of-OPENAI_API_KEY".to_owned())
            )
        );
        assert_eq!(
            model.settings(None, None).expect("settings").temperature,
            Temperature::Omit
        );
    }
    let model = resolve("openrouter/anthropic/claude-3.7-sonnet");
    assert_eq!(
        (model.wire_model.as_str(), model.dialects()),
        ("anthropic/claude-3.7-sonnet", &[Dialect::OpenaiChat][..])
    );
    assert_eq!((model.pricing.input, model.temperature), (None, Some(0.0)));
    assert!(!model.is_scripted());
}

#[test]
fn an_api_base_takes_any_name() {
    let base = Some("http://127.0.0.1:8000/v1");
    let model = resolve_with_keys("openai/gpt-oss-20b", base, &[]).expect("a model");
    assert_eq!(model.wire_model, "openai/gpt-oss-20b");
    assert_eq!(upstream(&model).1, None, "local servers need no key");
    let model = resolve_with_keys(
        "claude-sonnet-4",
        Some("https://proxy.example.org/v1"),
        &["OPENAI_API_KEY", "MTSEC_API_KEY"],
    )
    .expect("a model");
    assert_eq!(upstream(&model).1.as_deref(), Some("key-of-MTSEC_API_KEY"));
    let error = resolve_with_keys("x", Some("https://proxy.example.org/v1"), &[]).expect_err("an error");
    assert!(error.to_string().contains("MTSEC_API_KEY or OPENAI_API_KEY"), "{error}");
    for bad in [
        "nonsense",
        "ftp://x/",
        "http://user:secret-word@x/v1",
        "http://x/v1?key=secret-word",
    ] {
        let error = resolve_with_keys("x", Some(bad), &[]).expect_err("an error");
        assert!(
            matches!(error, ModelError::BadApiBase { .. }) && !error.to_string().contains("secret-word"),
            "{error}"
        );
    }
}

#[test]
fn endpoints_are_found_by_the_model_then_its_checkpoint_then_its_provider() {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let typed = |texts: &[&str]| {
        let typed: Vec<_> = texts.iter().map(|text| text.parse().expect("an endpoint")).collect();
        Endpoints::of(&typed).expect("endpoints")
    };
    let endpoints = typed(&[
        "local=http://127.0.0.1:1/v1",
        "Qwen/Qwen3-8B=http://127.0.0.1:2/v1",
        "qwen3-8b=http://127.0.0.1:3/v1",
        "mine=http://127.0.0.1:4/v1",
    ]);
    let keys = |variable: &str| (variable != "MTSEC_API_KEY").then(|| format!("key-of-{variable}"));
    for (name, wire, base) in [
        ("qwen3-8b", "Qwen/Qwen3-8B", "http://127.0.0.1:3/v1"),
        ("qwen3-8b-thinking", "Qwen/Qwen3-8B", "http://127.0.0.1:2/v1"),
        ("qwen3-4b", "Qwen/Qwen3-4B", "http://127.0.0.1:1/v1"),
        ("local/some/model", "some/model", "http://127.0.0.1:1/v1"),
        ("mine", "mine", "http://127.0.0.1:4/v1"),
    ] {
        let model = catalogue.resolve_at(name, &endpoints, &keys).expect("a model");
        // The key of OpenAI is for OpenAI, whose models may be in the same run.
        assert_eq!(upstream(&model), (base.to_owned(), None), "{name}");
        assert_eq!(
            (model.wire_model.as_str(), model.endpoint()),
            (wire, Some(base)),
            "{name}"
        );
    }
    for name in ["gpt-4o", "openai/another"] {
        let model = catalogue.resolve_at(name, &endpoints, &keys).expect("a model");
        let home = (
            "https://api.openai.com/v1".to_owned(),
            Some("key-of-OPENAI_API_KEY".to_owned()),
        );
        assert_eq!((upstream(&model), model.endpoint()), (home, None), "{name}");
    }
    let error = |name: &str, endpoints: &Endpoints| match catalogue.resolve_at(name, endpoints, &keys) {
        Ok(model) => panic!("{model:?}"),
        Err(error) => error.to_string(),
    };
    let afar = error("qwen3-8b", &typed(&["local=https://models.example.org/v1"]));
    assert!(afar.ends_with("set MTSEC_API_KEY"), "{afar}");
    assert!(error("qwen3-8b", &typed(&["qwen3-4b=http://127.0.0.1:1/v1"])).contains("--api-base NAME=URL"));
    assert!(error("unheard-of", &endpoints).contains("unknown model"));
    assert_eq!(catalogue.nobodys(&endpoints, &["mine"]), None);
    assert_eq!(catalogue.nobodys(&endpoints, &["mine/other"]), Some("mine"));
}

#[test]
fn what_cannot_be_called_is_refused_in_words() {
    let error = |name: &str, keys: &[&str]| resolve_with_keys(name, None, keys).expect_err("an error").to_string();
    assert!(error("gpt5", &[]).contains("gpt-5"), "{}", error("gpt5", &[]));
    assert!(error("nowhere/model", &[]).contains("unknown model `nowhere/model`"));
    assert!(error("o3", &[]).contains("OPENAI_API_KEY"));
    assert!(error("claude-3-7-sonnet", &[]).contains("ANTHROPIC_API_KEY"));
    assert!(error("qwen3-8b", &[]).contains("--api-base"));
    assert!(error("openai/", &["OPENAI_API_KEY"]).contains("unknown model"));
    let scripted = resolve_with_keys("oracle", Some("http://localhost/v1"), &[]).expect("a model");
    assert!(scripted.is_scripted(), "an endpoint of other models is none of its");
}

#[test]
fn wishes_are_checked_against_the_model() {
    assert_eq!(
        resolve("o3")
            .settings(Some("high"), None)
            .expect("settings")
            .reasoning_effort
            .as_deref(),
        Some("high")
    );
    assert!(resolve("gpt-4o").settings(Some("low"), None).is_err());
    assert!(resolve("o3").check_thinking(Some(4000)).is_err());
    let budget = |tokens| {
        let settings = resolve("gemini-2.5-flash").settings(None, tokens).expect("settings");
        settings.gemini_thinking_tokens
    };
    assert_eq!((budget(None), budget(Some(0))), (Some(4000), Some(0)));
}

#[test]
fn a_thinking_budget_that_its_provider_refuses_is_refused_before() {
    let keys = ["ANTHROPIC_API_KEY", "GEMINI_API_KEY"];
    let said = |name: &str, budget| {
        let model = resolve_with_keys(name, None, &keys).expect("a model");
        model.check_thinking(Some(budget)).map_err(|error| error.to_string())
    };
    for (name, budget) in [
        ("claude-sonnet-4", 1024),
        ("claude-opus-4", 31_999),
        ("claude-3-7-sonnet", 0),
        ("claude-3-5-sonnet", 0),
        ("gemini-2.5-flash", 0),
        ("gemini-2.5-flash", 1),
        ("gemini-2.5-flash", 24_576),
        ("gemini-2.5-pro", 128),
        ("gemini-2.5-pro", 32_768),
        ("anthropic/claude-next", 1024),
    ] {
        assert!(said(name, budget).is_ok(), "{name} {budget}: {:?}", said(name, budget));
    }
    for (name, budget, words) in [
        ("claude-sonnet-4", 1, "from 1024 to 63999"),
        ("claude-sonnet-4", 1023, "from 1024"),
        ("claude-opus-4", 32_000, "to 31999"),
        ("anthropic/claude-next", 1000, "from 1024"),
        ("claude-3-5-sonnet", 4000, "does not take a thinking budget"),
        (
            "claude-3-7-sonnet",
            4000,
            "the same model is `claude-3-7-sonnet-thinking`",
        ),
        ("gemini-2.5-flash", 24_577, "from 1 to 24576 tokens, or 0 for none"),
        ("gemini-2.5-pro", 0, "from 128 to 32768 tokens, and always thinks"),
        ("gemini-2.5-pro", 127, "from 128"),
        ("gemini-2.5-pro", 32_769, "to 32768"),
    ] {
        let error = said(name, budget).expect_err("an error");
        assert!(error.contains(words) && error.contains(name), "{error}");
    }
}

#[test]
fn limits_have_the_name_that_the_provider_knows() {
    let limit = |name: &str, base| {
        let keys = [
            "OPENAI_API_KEY",
            "GEMINI_API_KEY",
            "DEEPSEEK_API_KEY",
            "TOGETHER_API_KEY",
        ];
        let model = resolve_with_keys(name, base, &keys).expect("a model");
        let settings = model.settings(None, None).expect("settings");
        (settings.output_limit, settings.unheeded_limit)
    };
    let base = Some("http://localhost:1/v1");
    for (name, base) in [("o3", None), ("gpt-4o", None), ("openai/next", None), ("o3", base)] {
        assert_eq!(limit(name, base), ("max_completion_tokens", None), "{name}");
    }
    for (name, base) in [
        ("deepseek-reasoner", None),
        ("gemini-2.5-pro", None),
        ("together/x", None),
        ("qwen3-8b-thinking", base),
    ] {
        assert_eq!(
            limit(name, base),
            ("max_tokens", Some("max_completion_tokens")),
            "{name}"
        );
    }
    assert_eq!(limit("x", base), ("max_tokens", None), "nobody knows");
}

#[test]
fn keys_lose_the_space_around_them_and_must_fit_into_a_header() {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let resolve = |key: &str| catalogue.resolve_with("o3", None, &|_| Some(key.to_owned()));
    let key = upstream(&resolve(" \tsk-secret-word\r\n").expect("a model")).1;
    assert_eq!(key.as_deref(), Some("sk-secret-word"));
    assert!(matches!(resolve(" \n"), Err(ModelError::MissingKey { .. })));
    for bad in [
        "sk-secret\nword",
        "sk-secret-w\u{f6}rd",
        "sk-\u{7f}secret-word",
        "sk-secret\tword",
    ] {
        let error = resolve(bad).expect_err("an error").to_string();
        assert!(error.contains("OPENAI_API_KEY") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_models_dialects_are_those_of_its_provider() {
    use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
    let keys = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"];
    let of = |name: &str, base| {
        let model = resolve_with_keys(name, base, &keys).expect("a model");
        assert!(model.dialects().iter().all(|dialect| model.serves(*dialect)));
        model.dialects().to_vec()
    };
    assert_eq!(of("gpt-5", None), [OpenaiChat, OpenaiResponses]);
    assert_eq!(of("claude-sonnet-4", None), [AnthropicMessages]);
    assert_eq!(of("anthropic/claude-next", None), [AnthropicMessages]);
    assert_eq!(of("gemini-2.5-pro", None), [OpenaiChat]);
    for (name, base) in [
        ("nop", None),
        ("qwen3-8b", Some("http://localhost:1/v1")),
        ("x", Some("http://localhost:1")),
    ] {
        assert_eq!(of(name, base), Dialect::ALL, "{name}");
    }
    let model = resolve("gemini-2.5-pro");
    assert!(!model.serves(OpenaiResponses) && !model.serves(AnthropicMessages));
}

#[test]
fn a_dialect_is_chosen_that_can_say_the_models_settings() {
    use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
    let codex = [OpenaiResponses, OpenaiChat];
    let all = [OpenaiResponses, AnthropicMessages, OpenaiChat];
    for (name, thinking, speaks, chosen) in [
        ("claude-sonnet-4", None, &codex[..], OpenaiChat),
        ("claude-sonnet-4", Some(0), &codex, OpenaiResponses),
        ("claude-3-5-sonnet", None, &codex, OpenaiResponses),
        ("claude-sonnet-4", None, &all, AnthropicMessages),
        ("gemini-2.5-pro", None, &all, OpenaiChat),
        ("gpt-5", None, &codex, OpenaiResponses),
        ("gpt-5", None, &[AnthropicMessages, OpenaiChat], OpenaiChat),
        ("some-model", None, &all, OpenaiResponses),
    ] {
        let model = resolve_with_keys(name, Some("http://localhost:1/v1"), &[]).expect("a model");
        let settings = model.settings(None, thinking).expect("settings");
        assert_eq!(model.common(speaks, &settings), Some(chosen), "{name} {thinking:?}");
        assert_eq!(settings.unsaid(chosen), None, "{name} {thinking:?}");
    }
}

#[test]
fn claude_thinks_as_the_paper_had_it_or_as_the_user_wishes() {
    let model = |name| resolve_with_keys(name, None, &["ANTHROPIC_API_KEY"]).expect("a model");
    let settings = |name, thinking| model(name).settings(None, thinking).expect("settings");
    let thinking = settings("claude-sonnet-4", None);
    assert_eq!(
        (thinking.thinking_tokens, thinking.temperature),
        (Some(4000), Temperature::Omit)
    );
    let off = settings("claude-sonnet-4", Some(0));
    assert_eq!((off.thinking_tokens, off.temperature), (Some(0), Temperature::Set(0.0)));
    assert_eq!(settings("claude-3-5-sonnet", None).thinking_tokens, None);
    assert!(model("claude-sonnet-4").settings(Some("low"), None).is_err());
    assert!(model("anthropic/claude-next").settings(Some("low"), None).is_err());
}

#[test]
fn scripted_models_need_nothing_and_cost_nothing() {
    for name in ["oracle", "oracle:insecure", "nop", "script:some/file.yaml"] {
        let model = resolve_with_keys(name, None, &[]).expect("a model");
        assert!(model.is_scripted() && ModelSpec::parse(name).is_scripted());
        assert_eq!(model.pricing.output, Some(0.0));
    }
    assert!(!ModelSpec::parse("oracle2").is_scripted());
    let shown = format!("{:?}", resolve("o3"));
    assert!(!shown.contains("key-of-"), "{shown}");
}

#[test]
fn a_malformed_table_is_refused_with_its_place() {
    let error = ModelCatalogue::parse("providers: {}\nmodels:\n  - nam: x\n")
        .expect_err("an error")
        .to_string();
    assert!(error.contains("line 3"), "{error}");
    let twice = "providers: {p: {dialects: [openai-chat], api_base: null, key: null}}\nmodels:\n".to_owned()
        + &"  - {name: a, provider: p, checkpoint: c, max_input_tokens: 1, max_output_tokens: 1}\n".repeat(2);
    assert!(
        ModelCatalogue::parse(&twice)
            .expect_err("an error")
            .to_string()
            .contains("twice")
    );
}
