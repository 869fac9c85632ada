//! One row of a trace: a hold for the most it could cost, then a settlement of what it did cost.

use super::Form;
use super::client::{Client, Execution, Failure, Hold, Problem};
use super::key::{Account, Keys};
use super::price::Tariff;
use super::trace::{BadRow, Row, Usage};

/// What charging every row has in common.
pub struct Charge<'a> {
    /// The server.
    pub client: &'a Client,
    /// Who pays whom.
    pub account: &'a Account,
    /// What tokens cost.
    pub tariff: &'a Tariff,
    /// The answer a hold allows for, in tokens, where the real one was shorter.
    pub max_output_tokens: u64,
    /// What a row becomes.
    pub form: Form,
}

/// What became of a row.
#[derive(Debug)]
pub enum Outcome {
    /// It is settled.
    Settled {
        /// What it used.
        usage: Usage,
        /// What it cost, in minor units.
        cost: i128,
        /// Whether an earlier run had settled it.
        replayed: bool,
    },
    /// It could cost nothing, so there is nothing to post.
    Free {
        /// What it used.
        usage: Usage,
    },
    /// Its cost is more than an amount can hold.
    TooDear {
        /// The row.
        row: BadRow,
    },
    /// The server refused it.
    Refused {
        /// Its line in the file.
        line: u64,
        /// Which of its commands was refused.
        step: &'static str,
        /// Why.
        problem: Problem,
    },
    /// It could not be carried out, nor can those after it.
    Stop(String),
}

impl Charge<'_> {
    /// Charges one row. Doing so again has no further effect.
    pub async fn row(&self, row: Row) -> Outcome {
        let usage = row.usage;
        let most_output = usage.generated_tokens.max(self.max_output_tokens);
        let most = self.tariff.cost(usage.context_tokens, most_output);
        let cost = self.tariff.cost(usage.context_tokens, usage.generated_tokens);
        let (Some(most), Some(cost)) = (most, cost) else {
            let reason = "its cost is more than an amount can hold".to_owned();
            let row = BadRow { line: row.line, reason };
            return Outcome::TooDear { row };
        };
        if most == 0 {
            return Outcome::Free { usage };
        }
        let keys = Keys::of(self.account, &row);
        if self.form == Form::Executions {
            return self.execution(&row, &keys, cost).await;
        }
        let refused = |step| {
            move |failure| match failure {
                Failure::Refused(problem) => Outcome::Refused { line: row.line, step, problem },
                Failure::Stop(why) => Outcome::Stop(why),
            }
        };
        let amount = self.tariff.decimal(most);
        let hold = Hold::new(self.account, &usage, &amount);
        let id = match self.client.hold(&keys.hold, &hold).await {
            Ok(id) => id,
            Err(failure) => return refused("hold")(failure),
        };
        let amount = self.tariff.decimal(cost);
        match self.client.settle(id, &keys.settle, &amount).await {
            Ok(replayed) => Outcome::Settled { usage, cost, replayed },
            Err(failure) => refused("settlement, the amount is still held")(failure),
        }
    }

    /// Records one row as a call of a model. Doing so again has no further effect.
    async fn execution(&self, row: &Row, keys: &Keys, cost: i128) -> Outcome {
        let usage = row.usage;
        match self.client.execution(&keys.execution, &Execution::new(self.account, &usage)).await {
            Ok(replayed) => Outcome::Settled { usage, cost, replayed },
            Err(Failure::Refused(problem)) => Outcome::Refused { line: row.line, step: "execution", problem },
            Err(Failure::Stop(why)) => Outcome::Stop(why),
        }
    }
}
