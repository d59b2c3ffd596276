//! What did not pass, case by case.

use super::judge::{Answer, Judge, JudgeFailure};
use super::run::Claims;
use super::{Place, Shared, TesterError};
use crate::task::Task;
use crate::verdict::{Explanation, FailedCase, Group, Judgement, ShownCase};

/// Most cases that are told of in words; of more only their names are known.
const MOST_SHOWN: usize = 50;

impl Shared {
    /// Explains a judgement from the claims that it was made of.
    pub(super) async fn explanation(
        &self,
        place: &Place,
        task: &Task,
        judge: &Judge,
        judgement: &Judgement,
        claims: &Claims,
    ) -> Result<Explanation, TesterError> {
        let index = |group: Group, place: usize| match group {
            Group::Capability => place,
            Group::Safety => judgement.capability.len() + place,
        };
        let failed: Vec<_> = judgement.failed().collect();
        let asked = failed.iter().take(MOST_SHOWN).map(|(group, place, _)| {
            let index = index(*group, *place);
            (index, claims.answers.get(index))
        });
        let asked: Vec<_> = asked.collect();
        let mut shown = match asked.is_empty() {
            true => Vec::new(),
            false => self.words(place, task, judge, &asked).await?,
        };
        for ((index, answer), shown) in asked.iter().zip(&mut shown) {
            if answer.is_some_and(|(kind, _)| *kind == b'X') {
                shown.came = claims.told.get(index).cloned();
            }
        }
        let mut shown = shown.into_iter();
        let cases = failed.into_iter().map(|(group, place, result)| FailedCase {
            group,
            place,
            result,
            shown: shown.next(),
        });
        Ok(Explanation {
            cases: cases.collect(),
            failure: match &claims.failure {
                Some(_) => claims.told.get(&claims.answers.len()).cloned(),
                None => None,
            },
        })
    }

    /// Asks this judge, and another where claims have ended it; in the end without what was claimed.
    async fn words(
        &self,
        place: &Place,
        task: &Task,
        judge: &Judge,
        asked: &[(usize, Option<&Answer>)],
    ) -> Result<Vec<ShownCase>, TesterError> {
        if let Ok(words) = judge.explain(asked).await {
            return Ok(words);
        }
        if let Ok(words) = self.start_judge(place, task).await?.explain(asked).await {
            return Ok(words);
        }
        let bare: Vec<_> = asked.iter().map(|(index, _)| (*index, None)).collect();
        let words = self.start_judge(place, task).await?.explain(&bare).await;
        words.map_err(|failure| match failure {
            JudgeFailure::Sandbox(error) => error.into(),
            failure => TesterError::Judge {
                task: task.id.clone(),
                detail: format!("it could not tell of its cases ({failure:?})"),
            },
        })
    }
}
