//! The life of a call.

mod fingerprint;
mod life;
mod notice;
mod outcome;
mod repeat;
mod size;

use std::sync::Arc;

use commands::NewCall;
use domain::catalogue::Enforcement;
use domain::execution::Operation;
use domain::{ExecutionId, ModelName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fingerprint::{fingerprint, hex};
use self::life::Life;
use self::notice::Notice;
use self::repeat::Requested;
use self::size::{Size, size};
use crate::client::Client;
use crate::dialect::{self, Asked};
use crate::flow::Signals;
use crate::gateway::{Call, Shared};
use crate::hold::Hold;
use crate::ledger::Account;
use crate::offer::Offer;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::route::{self, Stop};
use crate::running::{Place, Run};
use crate::translate::{self, Frame};
use crate::trip::{Bill, Choice, Trip};

/// Makes a call and sees to it that the client gets an answer.
pub(crate) async fn run(shared: Arc<Shared>, call: Call, mut client: Client) {
    let operation = call.operation;
    if let Err(refusal) = lead(&shared, call, &mut client).await {
        refuse(&mut client, operation, &refusal);
    }
}

fn refuse(client: &mut Client, operation: Operation, refusal: &Refusal) {
    metrics::counter!("counterfoil_gateway_refused_total", "code" => refusal.code.clone()).increment(1);
    client.whole(refusal.reply(operation));
}

/// Leads a call to its answer. What it refuses costs nothing and leaves nothing in the ledger.
async fn lead(shared: &Arc<Shared>, call: Call, client: &mut Client) -> Result<(), Refusal> {
    let asked = dialect::read(call.operation, &call.model, call.stream, call.body.clone())?;
    if dialect::is_free(call.operation) {
        let (choices, _) = choices(shared, &call, &asked).await?;
        return Life {
            trip: trip(shared, &call, asked, choices),
            account: None,
            signals: signals(shared, CancellationToken::new()),
            frame: None,
            call: &call,
            notice: None,
            run: None,
        }
        .free(client)
        .await;
    }
    let fingerprint = fingerprint(&call);
    let id = match &call.key {
        Some(key) => ExecutionId::of(call.tenant, key),
        None => ExecutionId(shared.ids.next()),
    };
    let Some(mut place) = enter(shared, &call, id, fingerprint, client).await? else {
        return Ok(());
    };
    client.remember(place.run.record.clone());
    let account =
        Account { shared: Arc::clone(shared), tenant: call.tenant, context: call.context.clone(), id };
    if let Err(refusal) = make(shared, &call, asked, account, client, &mut place).await {
        // While the call is still among those that run: who joined is told the same. Nothing is kept, and the key is free.
        refuse(client, call.operation, &refusal);
    }
    Ok(())
}

/// Enters the call among those that run; nothing when its answer was there already, or was given by one that runs.
async fn enter(
    shared: &Arc<Shared>,
    call: &Call,
    id: ExecutionId,
    fingerprint: [u8; 32],
    client: &mut Client,
) -> Result<Option<Place>, Refusal> {
    loop {
        let record = call.key.is_some().then(|| Arc::new(Record::new(shared.options.most_kept)));
        let run = Run { cancel: CancellationToken::new(), fingerprint, record };
        let other = match shared.running.enter(call.tenant, id, run) {
            Ok(place) if call.key.is_none() => return Ok(Some(place)),
            Ok(place) => match repeat::kept(shared, call, id, fingerprint, client.reader()).await? {
                Some(reply) => {
                    client.whole(reply);
                    return Ok(None);
                }
                None => return Ok(Some(place)),
            },
            Err(other) => other,
        };
        if other.fingerprint != fingerprint {
            return Err(crate::ledger::key_reused());
        }
        let Some(record) = other.record.clone() else {
            return Err(Refusal::new(500, "internal", "a new id is taken"));
        };
        drop(other);
        if let Some(reply) = record.join(call.operation, client.reader().clone()).await {
            client.whole(reply);
            return Ok(None);
        }
    }
}

/// Records the request, and makes the call.
async fn make(
    shared: &Arc<Shared>,
    call: &Call,
    asked: Asked,
    account: Account,
    client: &mut Client,
    place: &mut Place,
) -> Result<(), Refusal> {
    let (mut choices, most) = choices(shared, call, &asked).await?;
    let Size { estimate, basis, bound } = size(call.operation, &asked, most, &shared.options);
    let model =
        ModelName::new(&asked.model).map_err(|error| Refusal::invalid("invalid_model", error.to_string()))?;
    let lasts = shared.options.total.saturating_add(shared.options.grace);
    let request = NewCall {
        wallet: call.wallet.clone(),
        application: call.application,
        user: call.user.clone(),
        model,
        operation: call.operation,
        fingerprint: hex(place.run.fingerprint)?,
        estimate,
        basis: Some(basis),
        quotes: choices.iter().filter_map(Choice::quoted).collect(),
        requested_at: None,
        expires_at: shared.clock.now() + lasts,
    };
    let requested = repeat::request(shared, call, account, request, place, client.reader()).await?;
    let (account, execution) = match requested {
        Requested::Anew(account, execution) => (account, *execution),
        Requested::Before(reply) => {
            client.whole(reply);
            return Ok(());
        }
    };
    // What is priced in another asset cannot be paid from this wallet.
    let asset = &execution.body.asset;
    choices.retain(|choice| choice.stop.price.as_ref().is_none_or(|price| price.asset == *asset));
    let hard = execution.body.enforcement == Enforcement::Hard;
    let price = execution.body.quoted.as_ref().map(|quoted| quoted.price.clone());
    let hold = Hold::new(account.clone(), price, estimate, shared.options.tranche, hard).bounded(bound);
    let frame = Frame {
        id: account.id.0.simple().to_string(),
        model: asked.model.clone(),
        created: shared.clock.now().timestamp(),
        usage: asked.usage_asked,
    };
    let notice = Notice::new(account.id, &execution);
    let mut trip = trip(shared, call, asked, choices);
    trip.hold = Some(hold);
    let signals = signals(shared, place.run.cancel.clone());
    let life = Life {
        trip,
        account: Some(account),
        signals,
        frame: Some(frame),
        call,
        notice: Some(notice),
        run: Some(Arc::clone(&place.run)),
    };
    life.live(client).await;
    Ok(())
}

/// The providers that can be asked, each with the body in its dialect, and the most that the model gives.
async fn choices(
    shared: &Arc<Shared>,
    call: &Call,
    asked: &Asked,
) -> Result<(Vec<Choice>, Option<u64>), Refusal> {
    let offer: Arc<Offer> = shared.offers.offer(call.tenant).await.map_err(|error| {
        tracing::error!(%error, "what a tenant can call is not known");
        let refusal = Refusal::new(503, "unavailable", "what can be called is not known at the moment");
        refusal.after(std::time::Duration::from_secs(1))
    })?;
    let stops = route::stops(&offer, &asked.model, &shared.chance)?;
    let named = ModelName::new(&asked.model).ok();
    let most = named.and_then(|name| offer.models.get(&name)?.max_output_tokens);
    let mut refused = None;
    let mut choices = Vec::with_capacity(stops.len());
    for stop in stops {
        match choice(call.operation, asked, stop, most) {
            Ok(choice) => choices.push(choice),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        Some(refusal) if choices.is_empty() => Err(refusal),
        _ => Ok((choices, most)),
    }
}

fn choice(operation: Operation, asked: &Asked, stop: Stop, most: Option<u64>) -> Result<Choice, Refusal> {
    let dialect = stop.supplier.provider.dialect;
    let spoken = translate::counterpart(operation, dialect).ok_or_else(|| {
        let name = dialect.as_str();
        let message = format!("the model is had in the dialect `{name}` alone, which has nothing like it");
        Refusal::invalid("untranslatable", message)
    })?;
    let translated = if spoken == operation {
        None
    } else {
        Some(translate::request(operation, spoken, asked, stop.model.as_str(), most)?)
    };
    Ok(Choice { stop, spoken, translated })
}

fn trip(shared: &Arc<Shared>, call: &Call, asked: Asked, choices: Vec<Choice>) -> Trip {
    Trip {
        shared: Arc::clone(shared),
        asked,
        query: call.query.clone(),
        headers: call.headers.clone(),
        choices,
        hold: None,
        deadline: Instant::now() + shared.options.total,
        attempts: Vec::new(),
        flying: None,
        last: None,
        bill: Bill::default(),
    }
}

fn signals(shared: &Arc<Shared>, cancel: CancellationToken) -> Signals {
    Signals { cancel, ending: shared.ending.clone(), departure: shared.options.departure }
}
