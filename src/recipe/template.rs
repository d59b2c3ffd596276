//! Templates of a recipe: command line, environment and files of one session.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::{Environment, UndefinedBehavior, Value};

use super::{Drive, Driven, Recipe, Source};

/// The templates of a recipe, checked. Rendering compiles them again, which takes microseconds.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// What a session's templates may name.
pub type Places = BTreeMap<&'static str, Value>;

/// A recipe, filled in for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Path and content.
    pub files: Vec<(PathBuf, String)>,
    /// The agent's log of its calls.
    pub calls: Option<PathBuf>,
}

impl Templates {
    /// Checks every template; the error names field and cause.
    pub(super) fn compile(source: &Source) -> Result<Self, (String, String)> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // JSON text of a string; anything else is a number or a truth value and is written as it is.
        environment.add_filter("json", |value: Value| match value.as_str() {
            Some(text) => serde_json::Value::from(text).to_string(),
            None => value.to_string(),
        });
        let template = |field: String, text: &str| match environment.template_from_str(text) {
            Ok(_) => Ok(()),
            Err(error) => Err((field, error.to_string())),
        };
        let expression = |field: String, text: &str| match environment.compile_expression(text) {
            Ok(_) => Ok(()),
            Err(error) => Err((field, error.to_string())),
        };
        for (index, part) in source.argv.iter().enumerate() {
            for text in part.when.iter().chain(&part.each) {
                expression(format!("argv[{index}]"), text)?;
            }
            for text in &part.args {
                template(format!("argv[{index}]"), text)?;
            }
        }
        for (name, text) in &source.env {
            template(format!("env.{name}"), text)?;
        }
        for (index, file) in source.files.iter().enumerate() {
            template(format!("files[{index}].path"), &file.path)?;
            template(format!("files[{index}].content"), &file.content)?;
        }
        match &source.drive {
            Drive::Pty(pty) => {
                if let Some(calls) = &pty.calls {
                    template("drive.pty.calls.log".into(), &calls.log)?;
                }
            }
            Drive::Exec(exec) => {
                template("drive.exec.session.folder".into(), &exec.session.folder)?;
                for text in exec.preflight.iter().flat_map(|preflight| &preflight.argv) {
                    template("drive.exec.preflight.argv".into(), text)?;
                }
            }
            Drive::Api(_) => {}
            Drive::Shim(_) => {}
        }
        Ok(Self { environment })
    }
}

impl Recipe {
    /// Fills in one template; fails only where it names what does not exist.
    pub fn fill(&self, template: &str, places: &Places) -> Result<String, minijinja::Error> {
        self.templates
            .environment
            .render_str(template, Value::from(places.clone()))
    }

    /// Fills in the recipe; fails only for a template that names what does not exist.
    pub fn render(&self, places: &Places) -> Result<Rendered, minijinja::Error> {
        let environment = &self.templates.environment;
        let context = Value::from(places.clone());
        let text = |template: &str| environment.render_str(template, context.clone());

        let mut argv = Vec::new();
        for part in &self.source.argv {
            if let Some(when) = &part.when
                && !environment.compile_expression(when)?.eval(context.clone())?.is_true()
            {
                continue;
            }
            let Some(each) = &part.each else {
                for argument in &part.args {
                    argv.push(text(argument)?);
                }
                continue;
            };
            for item in environment
                .compile_expression(each)?
                .eval(context.clone())?
                .try_iter()?
            {
                let mut inner = places.clone();
                inner.insert("item", item);
                let inner = Value::from(inner);
                for argument in &part.args {
                    argv.push(environment.render_str(argument, inner.clone())?);
                }
            }
        }
        let mut env = BTreeMap::new();
        for (name, template) in &self.source.env {
            env.insert(name.clone(), text(template)?);
        }
        let mut files = Vec::new();
        for file in &self.source.files {
            files.push((PathBuf::from(text(&file.path)?), text(&file.content)?));
        }
        let calls = match &self.driven {
            Driven::Pty(rules) => rules.source.calls.as_ref(),
            Driven::Shim(_) => None,
            Driven::Exec(_) => None,
            Driven::Api => None,
        };
        let calls = match calls {
            Some(calls) => Some(PathBuf::from(text(&calls.log)?)),
            None => None,
        };
        Ok(Rendered {
            argv,
            env,
            files,
            calls,
        })
    }
}
