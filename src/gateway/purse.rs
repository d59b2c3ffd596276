//! Budgets kept: what a call may cost at most is set aside before it is sent, and what it did cost is taken afterwards.
//!
//! The input is estimated from the size of the request, one token for every three bytes, and never as more than the
//! model takes; the output is bounded by the request's own limit, else by the model's. A call that may write more than
//! is left waits for the others in flight, for they mostly use less than was set aside for them; alone, its limit is
//! lowered to what is left. So a budget is overrun by no more than an input was underestimated.
//!
//! A run's budget that has no room for a call is not used up by that: an agent may ask for anything. The run stops only
//! where little is left, or where the call is an ordinary one; any other call is its own trial's doing, and ends that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ask::Ask;
use super::model::Pricing;
use crate::budget::{Budget, Charge, Scope};

/// Fewer tokens than this are no answer: providers refuse such a limit.
const SHORTEST_ANSWER: u64 = 16;

/// A call that needs no more tokens than this is an ordinary one: more than the longest conversations of the benchmark's
/// tasks need, and next to nothing of a budget that a run of them is worth.
const ORDINARY_CALL: u64 = 16_384;
/// Of a run's budget this part is little, whatever a call needs.
const LITTLE: f64 = 0.05;

/// A budget and what is left of it; shared by all calls that it bounds.
#[derive(Debug)]
pub struct Purse {
    scope: Scope,
    budget: Budget,
    account: Mutex<Account>,
    settled: Notify,
    /// First come, first served: a large call must not starve behind small ones.
    queue: tokio::sync::Mutex<()>,
    /// Cancelled when a call had to be refused and the budget is to blame.
    stop: Option<CancellationToken>,
}

#[derive(Debug, Default)]
struct Account {
    spent: Charge,
    reserved: Charge,
    in_flight: usize,
    refused: bool,
}

/// A call that a budget has no room for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {scope}'s budget of {budget} {what}: {left}")]
pub struct Refusal {
    pub scope: Scope,
    pub budget: Budget,
    /// Whether the budget is used up, and not only the call too large for what is left.
    pub used_up: bool,
    what: &'static str,
    left: String,
}

/// What is set aside for one call. Given back when dropped, unless it is settled.
#[derive(Debug)]
pub(super) struct Reservation {
    purse: Arc<Purse>,
    charge: Charge,
    settled: bool,
}

enum Room {
    For(u64),
    Later,
    Never(Refusal),
}

impl Purse {
    /// A budget of which `spent` is gone already. `stop` is cancelled when it is used up.
    pub fn new(scope: Scope, budget: Budget, spent: Charge, stop: Option<CancellationToken>) -> Self {
        let account = Account {
            spent,
            ..Account::default()
        };
        Self {
            scope,
            budget,
            account: Mutex::new(account),
            settled: Notify::new(),
            queue: tokio::sync::Mutex::default(),
            stop,
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What calls have used so far, those in flight not counted.
    pub fn spent(&self) -> Charge {
        self.account().spent
    }

    /// Whether a call was refused for want of what is left, or every further one would be.
    pub fn is_used_up(&self) -> bool {
        let account = self.account();
        account.refused || self.budget.is_used_up(&account.spent)
    }

    /// Sets aside what a call may use, lowering its output to what is left; waits while others in flight may leave more.
    pub(super) async fn reserve(self: &Arc<Self>, ask: &mut Ask, pricing: &Pricing) -> Result<Reservation, Refusal> {
        let _turn = self.queue.lock().await;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // From here on no settlement is missed.
            settled.as_mut().enable();
            {
                let mut account = self.account();
                match self.room(&account, ask, pricing) {
                    Room::For(output) => {
                        ask.output = output;
                        let charge = ask.charge(pricing);
                        account.reserved.add(&charge);
                        account.in_flight += 1;
                        return Ok(Reservation {
                            purse: self.clone(),
                            charge,
                            settled: false,
                        });
                    }
                    Room::Later => {}
                    Room::Never(refusal) => {
                        account.refused |= refusal.used_up;
                        drop(account);
                        if let Some(stop) = self.stop.as_ref().filter(|_| refusal.used_up) {
                            stop.cancel();
                        }
                        return Err(refusal);
                    }
                }
            }
            settled.await;
        }
    }

    fn room(&self, account: &Account, ask: &Ask, pricing: &Pricing) -> Room {
        let mut gone = account.spent;
        gone.add(&account.reserved);
        let each = self.left_for_each(&gone, ask, pricing);
        match each {
            each if each >= ask.output => Room::For(ask.output),
            _ if account.in_flight > 0 => {
                // What has no room even if the others used nothing keeps nobody waiting behind it.
                let hopeless = self.left_for_each(&account.spent, ask, pricing) < SHORTEST_ANSWER.min(ask.output);
                match self.refusal(account, ask) {
                    refusal if hopeless && !refusal.used_up => Room::Never(refusal),
                    _ => Room::Later,
                }
            }
            each if each >= SHORTEST_ANSWER => Room::For(each),
            _ => Room::Never(self.refusal(account, ask)),
        }
    }

    /// The tokens that are left for each choice of the answer once so much is gone.
    fn left_for_each(&self, gone: &Charge, ask: &Ask, pricing: &Pricing) -> u64 {
        let mut most = u64::MAX;
        if let Some(tokens) = self.budget.tokens {
            most = most.min(tokens.saturating_sub(gone.tokens).saturating_sub(ask.input));
        }
        if let Some(usd) = self.budget.usd {
            let left = usd - gone.usd - ask.input_usd(pricing);
            let price = pricing.output.map(|price| price / 1e6);
            most = most.min(match price {
                _ if left < 0.0 => 0,
                Some(price) if price > 0.0 => (left / price) as u64,
                Some(_) => u64::MAX,
                // Refused long before; a budget that cannot be kept lets nothing through.
                None => 0,
            });
        }
        most / ask.choices.max(1)
    }

    /// Tells why there is no room for a call.
    fn refusal(&self, account: &Account, ask: &Ask) -> Refusal {
        let needs = ask.input.saturating_add(SHORTEST_ANSWER.saturating_mul(ask.choices));
        let gone = |spent: f64, of: f64| spent >= of * (1.0 - LITTLE);
        let tokens = self.budget.tokens;
        let little = tokens.is_some_and(|tokens| gone(account.spent.tokens as f64, tokens as f64))
            || self.budget.usd.is_some_and(|usd| gone(account.spent.usd, usd));
        // A trial's budget bounds its own agent only, which may use it up by a single call.
        let used_up = self.scope == Scope::Trial || little || needs <= ORDINARY_CALL;
        Refusal {
            scope: self.scope,
            budget: self.budget,
            used_up,
            what: if used_up {
                "is used up"
            } else {
                "has no room for such a call"
            },
            left: format!(
                "{} tokens (${:.4}) are spent, and the next call needs about {} tokens for its request alone",
                account.spent.tokens, account.spent.usd, ask.input
            ),
        }
    }

    fn give_back(&self, reserved: &Charge, spent: &Charge) {
        let mut account = self.account();
        account.in_flight = account.in_flight.saturating_sub(1);
        account.reserved.take_back(reserved);
        if account.in_flight == 0 {
            // No rest of rounding is carried on.
            account.reserved = Charge::default();
        }
        account.spent.add(spent);
        drop(account);
        self.settled.notify_waiters();
    }
}

impl Reservation {
    /// Takes what the call used, and gives the rest back.
    pub fn settle(mut self, spent: &Charge) {
        self.settled = true;
        self.purse.give_back(&self.charge, spent);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled {
            self.purse.give_back(&self.charge, &Charge::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ask::charge;

    const PRICING: Pricing = Pricing {
        input: Some(1.0),
        cached_input: None,
        output: Some(10.0),
    };

    fn purse(usd: Option<f64>, tokens: Option<u64>) -> Arc<Purse> {
        let budget = Budget { usd, tokens };
        Arc::new(Purse::new(Scope::Trial, budget, Charge::default(), None))
    }

    fn ask(input: u64, output: u64, choices: u64) -> Ask {
        Ask {
            input,
            output,
            choices,
            dearness: 1.0,
        }
    }

    #[tokio::test]
    async fn what_a_call_may_write_is_lowered_to_what_is_left() {
        let purse = purse(None, Some(1000));
        let mut first = ask(100, 5000, 2);
        let reserved = purse.reserve(&mut first, &PRICING).await.unwrap();
        assert_eq!(first.output, 450, "for each of two choices");
        reserved.settle(&charge(&PRICING, 100, 300));
        assert_eq!(purse.spent().tokens, 400);
        let mut second = ask(590, 5000, 1);
        assert!(
            purse.reserve(&mut second, &PRICING).await.is_err(),
            "10 tokens are no answer"
        );
        assert!(purse.is_used_up());
    }

    #[tokio::test]
    async fn dollars_bound_input_and_output_by_their_prices() {
        // 10 cents: 1,000 tokens in cost 0.1 cent, which leaves 9,900 tokens out.
        let purse = purse(Some(0.1), None);
        let mut call = ask(1000, 100_000, 1);
        let reserved = purse.reserve(&mut call, &PRICING).await.unwrap();
        assert!((9899..=9900).contains(&call.output), "{}", call.output);
        drop(reserved);
        assert_eq!(
            purse.spent(),
            Charge::default(),
            "a call that was not sent costs nothing"
        );
        let mut dear = ask(100_001, 20, 1);
        assert!(purse.reserve(&mut dear, &PRICING).await.is_err());
        let mut stored = Ask {
            dearness: 2.0,
            ..ask(10_000, 100_000, 1)
        };
        let reserved = purse.reserve(&mut stored, &PRICING).await.unwrap();
        assert!((7999..=8000).contains(&stored.output), "{}", stored.output);
        drop(reserved);
        let mut unknown = ask(1, 20, 1);
        assert!(purse.reserve(&mut unknown, &Pricing::default()).await.is_err());
    }

    #[tokio::test]
    async fn calls_in_flight_do_not_slip_through_together() {
        let purse = purse(None, Some(1000));
        let mut first = ask(100, 600, 1);
        let reserved = purse.reserve(&mut first, &PRICING).await.unwrap();
        let waiting = tokio::spawn({
            let purse = purse.clone();
            async move {
                let mut second = ask(100, 600, 1);
                let reserved = purse.reserve(&mut second, &PRICING).await;
                (second.output, reserved.is_ok())
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        reserved.settle(&charge(&PRICING, 100, 500));
        assert_eq!(waiting.await.unwrap(), (300, true));
    }
    #[tokio::test]
    async fn an_extraordinary_call_does_not_use_up_the_runs_budget() {
        let run = |spent| {
            let (stop, spent) = (
                CancellationToken::new(),
                Charge {
                    tokens: spent,
                    usd: 0.0,
                },
            );
            let budget = Budget {
                usd: None,
                tokens: Some(300_000),
            };
            let purse = Purse::new(Scope::Run, budget, spent, Some(stop.clone()));
            (Arc::new(purse), stop)
        };
        // A call of two megabytes, one of very many choices, and then one that fits. None waits for those in flight.
        let (purse, stop) = run(753);
        let _other = purse.reserve(&mut ask(100, 100, 1), &PRICING).await.unwrap();
        for mut large in [ask(700_000, 100, 1), ask(10, 100, 1_000_000)] {
            let refusal = purse.reserve(&mut large, &PRICING).await.unwrap_err();
            assert!(
                !refusal.used_up && refusal.to_string().contains("has no room"),
                "{refusal}"
            );
        }
        assert!(!purse.is_used_up() && !stop.is_cancelled());
        drop(purse.reserve(&mut ask(100, 100, 1), &PRICING).await.unwrap());
        // Where little is left, or an ordinary call finds no room, the run is over.
        for (spent, mut call) in [(290_000, ask(700_000, 100, 1)), (299_000, ask(2000, 100, 1))] {
            let (purse, stop) = run(spent);
            assert!(purse.reserve(&mut call, &PRICING).await.unwrap_err().used_up);
            assert!(purse.is_used_up() && stop.is_cancelled());
        }
    }

    #[tokio::test]
    async fn a_large_call_does_not_starve_behind_small_ones() {
        let purse = purse(None, Some(1000));
        let first = purse.reserve(&mut ask(100, 300, 1), &PRICING).await.unwrap();
        let wait = |mut call: Ask| {
            let purse = purse.clone();
            tokio::spawn(async move { purse.reserve(&mut call, &PRICING).await.unwrap() })
        };
        let large = wait(ask(100, 800, 1));
        tokio::task::yield_now().await;
        let small = wait(ask(10, 20, 1));
        tokio::task::yield_now().await;
        assert!(!large.is_finished() && !small.is_finished(), "first come, first served");
        first.settle(&charge(&PRICING, 50, 0));
        large.await.unwrap().settle(&charge(&PRICING, 50, 0));
        small.await.unwrap();
    }
}
