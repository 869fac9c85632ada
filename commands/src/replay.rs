//! The first answer again: what a command came to, folded from the journal.

use cqrs_es::Aggregate;
use domain::{
    Allowance, AllowanceId, ApplicationId, CatalogueId, Execution, ExecutionId, TenantId, Transaction,
    TransactionId, UserId, WalletId,
};
use journal::{Position, Recorded, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::request::{Context, Outcome, Resource};
use crate::state::{State, Stream};

/// What the first event of a command says about the command: a flat object of strings, as postgres-es wants.
#[derive(Serialize)]
pub(crate) struct Metadata<'a> {
    /// The command's name.
    pub(crate) command: &'a str,
    /// How many events it made, itself included.
    pub(crate) events: String,
    #[serde(flatten)]
    pub(crate) context: &'a Context,
}

#[derive(Deserialize)]
struct Extent {
    events: String,
}

/// How many events the command made whose first event is `lead`.
fn extent(lead: &Recorded) -> Option<i64> {
    let metadata = &lead.lead.as_ref()?.metadata;
    serde_json::from_str::<Extent>(metadata).ok()?.events.parse().ok()
}

/// Folds the outcome of the command whose first event is `lead`.
///
/// # Errors
/// In words: the journal could not be read, or holds what this program does not know.
pub(crate) async fn outcome<S: Store>(journal: &S, lead: &Recorded) -> Result<Outcome, String> {
    let partition = lead.partition;
    let extent = extent(lead).ok_or("the metadata of the command cannot be read")?;
    let events =
        journal.read(partition, lead.position - 1, extent).await.map_err(|error| error.to_string())?;
    let last = events.last().ok_or("the events of the command are not there")?;
    let position = Position { partition, position: last.position };
    let mut transactions: Vec<(Uuid, i64)> = Vec::new();
    for text in events.iter().map(|event| &event.text) {
        if text.aggregate_type == Transaction::TYPE {
            transactions.push((text.aggregate_id, text.sequence));
        }
    }
    // What moves money for a metered call or an allowance is part of it, and not what was asked for.
    let of = |kind: &str| events.iter().map(|event| &event.text).find(|text| text.aggregate_type == kind);
    let metered = of(Execution::TYPE).or_else(|| of(Allowance::TYPE)).map(|text| text.aggregate_id);
    if transactions.is_empty() || metered.is_some() {
        let id = metered.unwrap_or(lead.text.aggregate_id);
        // A command may have made several events of the one stream.
        let ours = events.iter().map(|event| &event.text).filter(|text| text.aggregate_id == id);
        let sequence = match of(Execution::TYPE) {
            // As it is now: whoever asks for it again has to know whether it has ended, and as what.
            Some(_) => i64::MAX,
            None => ours.map(|text| text.sequence).max().unwrap_or(lead.text.sequence),
        };
        let resource = match folded(journal, lead, id, sequence).await? {
            State::Tenant(tenant) => Resource::Tenant(TenantId(id), tenant),
            State::Wallet(wallet) => Resource::Wallet(WalletId(id), wallet),
            State::User(user) => Resource::User(UserId(id), user),
            State::Application(application) => Resource::Application(ApplicationId(id), application),
            State::Catalogue(catalogue) => Resource::Catalogue(CatalogueId(id), catalogue),
            State::Allowance(allowance) => Resource::Allowance(AllowanceId(id), allowance),
            State::Execution(execution) => Resource::Execution(ExecutionId(id), Box::new(execution)),
            State::Transaction(_) => return Err("a transaction leads no transaction".into()),
        };
        return Ok(Outcome { resource, position, replayed: true });
    }
    let mut resources = Vec::with_capacity(transactions.len());
    for (id, sequence) in transactions {
        // What was made by the command itself is folded from what was just read.
        let made = events.iter().find(|event| sequence == 1 && event.text.aggregate_id == id);
        let state = match made {
            Some(made) => fold(id, std::slice::from_ref(made))?,
            None => folded(journal, lead, id, sequence).await?,
        };
        if let State::Transaction(transaction) = state {
            resources.push((TransactionId(id), transaction));
        }
    }
    Ok(Outcome { resource: Resource::Transactions(resources), position, replayed: true })
}

async fn folded<S: Store>(journal: &S, lead: &Recorded, id: Uuid, sequence: i64) -> Result<State, String> {
    let events = journal.stream(lead.partition, id, sequence).await.map_err(|error| error.to_string())?;
    fold(id, &events)
}

fn fold(id: Uuid, events: &[Recorded]) -> Result<State, String> {
    let mut stream = Stream::default();
    for event in events {
        stream.fold(event).map_err(|error| error.to_string())?;
    }
    stream.state.ok_or_else(|| format!("stream {id} is empty"))
}
