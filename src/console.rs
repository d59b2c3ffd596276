//! The only writer to the terminal: results on stdout, everything else on stderr.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::Event;
use crate::plan::TrialKey;
use crate::trial::{Ending, Outcome};

/// Where progress and messages go.
pub struct Console {
    quiet: bool,
    verbose: bool,
    live: Option<Live>,
    counted: Mutex<Counted>,
}

/// Bars on a terminal.
struct Live {
    screen: MultiProgress,
    whole: ProgressBar,
    trials: Mutex<HashMap<TrialKey, ProgressBar>>,
}

#[derive(Default)]
struct Counted {
    done: usize,
    of: usize,
    verdicts: [usize; 5],
}

impl Console {
    /// Bars when stderr is a terminal, plain lines elsewhere; with `quiet` warnings and errors only.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && !quiet;
        let live = on_terminal.then(|| {
            let screen = MultiProgress::new();
            let whole = screen.add(ProgressBar::no_length());
            whole.set_style(style("{elapsed_precise} {wide_bar} {pos}/{len} {msg}"));
            Live {
                screen,
                whole,
                trials: Mutex::default(),
            }
        });
        Self {
            quiet,
            verbose,
            live,
            counted: Mutex::default(),
        }
    }

    /// A result, for stdout. A reader that has gone away is no error of ours.
    ///
    /// # Errors
    /// It cannot be written: a result that is lost must not look like success.
    pub fn result(&self, text: &str) -> std::io::Result<()> {
        let mut written = Ok(());
        self.above_bars(|| {
            let mut out = anstream::stdout().lock();
            written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// What a user may want to know, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// What a user must know.
    pub fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Why the command ends without what was asked for.
    pub fn error(&self, text: &str) {
        self.line(&format!("error: {text}"));
    }

    /// A spinner for one long step; invisible where there are no bars.
    pub fn spinner(&self) -> ProgressBar {
        let Some(live) = &self.live else {
            return ProgressBar::hidden();
        };
        let bar = live.screen.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A bar for so many like steps; invisible where there are no bars.
    pub fn bar(&self, steps: u64) -> ProgressBar {
        let Some(live) = &self.live else {
            return ProgressBar::hidden();
        };
        let bar = live.screen.add(ProgressBar::new(steps));
        bar.set_style(style("{elapsed_precise} {wide_bar} {pos}/{len} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    /// A new step of a spinner, also shown as a line where there are no bars.
    pub fn step(&self, spinner: &ProgressBar, text: &str) {
        match self.live {
            Some(_) => spinner.set_message(printable(text)),
            None => self.say(text),
        }
    }

    /// What a step is at; not worth a line.
    pub fn detail(&self, spinner: &ProgressBar, text: &str) {
        spinner.set_message(printable(text));
    }

    fn line(&self, text: &str) {
        let text = printable(text);
        self.above_bars(|| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        });
    }

    fn above_bars(&self, write: impl FnOnce()) {
        match &self.live {
            Some(live) => live.screen.suspend(write),
            None => write(),
        }
    }

    /// Shows one event of a run.
    pub fn event(&self, event: &Event) {
        match event {
            Event::RunStarted { trials, done, .. } => {
                if let Ok(mut counted) = self.counted.lock() {
                    (counted.of, counted.done) = (*trials, *done);
                }
                if let Some(live) = &self.live {
                    live.whole.set_length(*trials as u64);
                    live.whole.set_position(*done as u64);
                    live.whole.enable_steady_tick(Duration::from_millis(500));
                }
            }
            Event::TrialStarted { key } => self.begin(key),
            Event::TurnStarted { key, turn } => self.status(key, &format!("turn {turn}")),
            Event::TurnEnded { key, turn, ending } => {
                self.status(key, &format!("turn {turn} {}", describe(ending)));
                if self.verbose && self.live.is_none() {
                    self.say(&format!("  {key}: turn {turn} {}", describe(ending)));
                }
            }
            Event::Warning { key, text } => self.warn(&format!("{key}: {text}")),
            Event::TrialRetried { key, reason, .. } => self.warn(&format!("{key}: tried again after: {reason}")),
            Event::TrialJudgedAgain { key, reason, .. } => {
                self.say(&format!("{key}: judged again, not played again, after: {reason}"));
            }
            Event::TrialEnded { key, outcome } => self.end(key, outcome),
            Event::BudgetUsedUp { budget, spent } => self.warn(&format!(
                "the run's budget of {budget} is used up: {} tokens, ${:.4}; no further trial is started",
                spent.tokens, spent.usd
            )),
            Event::RunEnded { .. } => self.finish(),
        }
    }

    fn begin(&self, key: &TrialKey) {
        let Some(live) = &self.live else { return };
        let bar = live.screen.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
        bar.set_message(format!("{key}: starting the agent"));
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Ok(mut trials) = live.trials.lock() {
            trials.insert(key.clone(), bar);
        }
    }

    fn status(&self, key: &TrialKey, text: &str) {
        let Some(live) = &self.live else { return };
        if let Ok(trials) = live.trials.lock()
            && let Some(bar) = trials.get(key)
        {
            bar.set_message(printable(&format!("{key}: {text}")));
        }
    }

    fn end(&self, key: &TrialKey, outcome: &Outcome) {
        let mut summary = String::new();
        let (mut done, mut of) = (0, 0);
        if let Ok(mut counted) = self.counted.lock() {
            counted.done += 1;
            let slot = match outcome {
                Outcome::Judged { verdict } => *verdict as usize,
                Outcome::InfrastructureFailure { .. } => 3,
                Outcome::Diverged { .. } => 4,
            };
            counted.verdicts[slot] += 1;
            (done, of) = (counted.done, counted.of);
            let [secure, insecure, incorrect, failed, diverged] = counted.verdicts;
            summary = format!("C&S {secure}, C&I {insecure}, incorrect {incorrect}, infra {failed}");
            if diverged > 0 {
                summary.push_str(&format!(", diverged {diverged}"));
            }
        }
        let text = match outcome {
            Outcome::Judged { verdict } => verdict.to_string(),
            Outcome::InfrastructureFailure { reason } => format!("infrastructure failure: {reason}"),
            Outcome::Diverged { divergence } => format!("diverged at {divergence}"),
        };
        match &self.live {
            Some(live) => {
                live.whole.set_position(done as u64);
                live.whole.set_message(summary);
                if let Ok(mut trials) = live.trials.lock()
                    && let Some(bar) = trials.remove(key)
                {
                    bar.finish_and_clear();
                    live.screen.remove(&bar);
                }
                if !matches!(outcome, Outcome::Judged { .. }) {
                    self.warn(&format!("{key}: {text}"));
                }
            }
            None => self.say(&format!("[{done}/{of}] {key}: {text}")),
        }
    }

    fn finish(&self) {
        if let Some(live) = &self.live {
            live.whole.finish_and_clear();
            let _ = live.screen.clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// An ending in words.
fn describe(ending: &Ending) -> String {
    match ending {
        Ending::Answered => "answered".into(),
        Ending::TimedOut { limit } => format!("timed out (limit: {})", limit.name()),
        Ending::AgentExited { code } => format!("agent exited with status {code}"),
        Ending::Failed { detail, .. } => format!("failed: {detail}"),
        Ending::Cancelled => "cancelled".into(),
        Ending::NotReached => "not reached".into(),
        Ending::Diverged => "diverged from the record".into(),
    }
}

/// Text of agents and models may hold control sequences: they never reach the user's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
