use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use commands::{Command, TransactionRequest};
use domain::execution::ExecutionStatus;
use domain::{Amount, AssetCode, Scale};
use projections::{
    Dimension, Granularity, Group, Kind, Percentiles, Reader, UsageFilter, UsageQuestion, Window,
};

use crate::support::ledger::{Ledger, posting};
use crate::truth::{Call, calls};
use crate::world::{
    PROVIDERS, Running, WALLETS, ZONE, application, assert_verified, caught_up, model, provider, tenant,
    traffic, user, wallet,
};

/// Every set of dimensions.
fn groupings() -> impl Iterator<Item = BTreeSet<Dimension>> {
    (0_u32..64).map(|bits| {
        let chosen = Dimension::ALL.into_iter().zip(0..).filter(|(_, bit)| bits >> bit & 1 == 1);
        chosen.map(|(dimension, _)| dimension).collect()
    })
}

fn group(call: &Call, by: &BTreeSet<Dimension>) -> Group {
    let on = |dimension| by.contains(&dimension);
    Group {
        application: call.body.application.filter(|_| on(Dimension::Application)),
        wallet: Some(call.body.wallet.to_string()).filter(|_| on(Dimension::Wallet)),
        user: call.body.user.as_ref().map(ToString::to_string).filter(|_| on(Dimension::User)),
        provider: call.provider.clone().filter(|_| on(Dimension::Provider)),
        model: Some(call.body.model.to_string()).filter(|_| on(Dimension::Model)),
        outcome: call.ended.map(|(outcome, _)| outcome.to_owned()).filter(|_| on(Dimension::Outcome)),
    }
}

/// When the hour or day of a moment begins: in Kathmandu, a quarter of an hour less than six hours before UTC.
fn beginning(at: DateTime<Utc>, window: &Window) -> DateTime<Utc> {
    let offset = FixedOffset::east_opt(5 * 3_600 + 45 * 60).unwrap();
    let local = at.with_timezone(&offset).naive_local();
    let start = match window.granularity {
        Granularity::Total => return window.from,
        Granularity::Hour => local.date().and_hms_opt(chrono::Timelike::hour(&local), 0, 0).unwrap(),
        Granularity::Day => local.date().and_hms_opt(0, 0, 0).unwrap(),
    };
    start.and_local_timezone(offset).unwrap().to_utc().max(window.from)
}

/// Calls, tokens by bucket, and cost in minor units.
type Sums = (u64, [u64; 6], i128);

fn expected(
    calls: &[&Call],
    window: &Window,
    by: &BTreeSet<Dimension>,
) -> BTreeMap<(DateTime<Utc>, Group), Sums> {
    let mut sums: BTreeMap<_, Sums> = BTreeMap::new();
    for call in calls {
        let Some((_, at)) = call.ended.filter(|(_, at)| window.from <= *at && *at < window.to) else {
            continue;
        };
        let (count, tokens, cost) = sums.entry((beginning(at, window), group(call, by))).or_default();
        *count += 1;
        for (sum, more) in tokens.iter_mut().zip(call.usage.buckets()) {
            *sum += more;
        }
        *cost += call.cost;
    }
    sums
}

async fn found(
    reader: &Reader,
    ledger: &Ledger,
    question: &UsageQuestion,
) -> BTreeMap<(DateTime<Utc>, Group), Sums> {
    let answer = reader.tenant(ledger.tenant).usage(question, 100_000).await.unwrap().value;
    assert_eq!((answer.time_zone.as_str(), answer.more), (ZONE, false));
    let rows = answer.rows.into_iter().map(|row| {
        assert_eq!(row.asset, "USD");
        assert!(row.start < row.end && row.end <= question.window.to);
        let cost: Amount = row.consumption.cost.parse().unwrap();
        let cost = cost.at_scale(Scale::new(2).unwrap()).unwrap().minor();
        ((row.start, row.group), (row.consumption.calls, row.consumption.usage.buckets(), cost))
    });
    rows.collect()
}

fn window(calls: &[Call], granularity: Granularity) -> Window {
    let ends = || calls.iter().filter_map(|call| call.ended).map(|(_, at)| at);
    Window::new(ends().min().unwrap(), ends().max().unwrap() + TimeDelta::seconds(1), granularity).unwrap()
}

/// Compares the sums by every grouping with the fold of the journal and with what `@revenue` has.
async fn assert_exact(reader: &Reader, ledger: &Ledger) {
    let calls = calls(ledger).await;
    let all: Vec<&Call> = calls.iter().collect();
    let revenue = ledger.wallet("@revenue").await.balance;
    assert!(revenue.posted.is_positive());
    for granularity in [Granularity::Total, Granularity::Day, Granularity::Hour] {
        let window = window(&calls, granularity);
        for group_by in groupings() {
            let expected = expected(&all, &window, &group_by);
            let question = UsageQuestion { window, group_by, filter: UsageFilter::default() };
            let found = found(reader, ledger, &question).await;
            assert_eq!(found, expected, "{question:?}");
            let cost: i128 = found.values().map(|(_, _, cost)| cost).sum();
            assert_eq!(cost, revenue.posted.minor(), "{question:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_by_every_grouping_are_those_of_the_journal_and_of_the_revenue() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    for seed in 1..3 {
        traffic(&ledger, seed, 40).await;
        caught_up(&ledger).await;
        assert_exact(&running.reader, &ledger).await;
        assert_verified(&ledger).await;
    }
    let calls = calls(&ledger).await;
    let outcomes: BTreeSet<_> =
        calls.iter().filter_map(|call| call.ended).map(|(outcome, _)| outcome).collect();
    assert_eq!(
        outcomes,
        BTreeSet::from(["cancelled", "completed", "expired", "failed"]),
        "all of them are met"
    );
    assert!(ledger.wallet("@debts").await.balance.posted.is_negative(), "some cost more than there was");
    assert!(calls.iter().any(|call| call.provider.is_none()), "some were answered by nobody");
    for kind in [Kind::Catalogues, Kind::Allowances, Kind::Executions] {
        let rebuilt =
            projections::rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
        assert_eq!((rebuilt.differences, rebuilt.not_compared), (vec![], None), "{kind:?}");
        assert!(rebuilt.rows.iter().all(|(_, rows)| *rows > 0), "{:?}", rebuilt.rows);
    }
    assert_exact(&running.reader, &ledger).await;
    traffic(&ledger, 3, 10).await;
    caught_up(&ledger).await;
    assert_exact(&running.reader, &ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}

/// Which calls a filter lets pass.
type Passes = fn(&Call) -> bool;

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_in_what_it_names_and_nothing_else() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 11, 40).await;
    caught_up(&ledger).await;
    let calls = calls(&ledger).await;
    let none = UsageFilter::default;
    let usd = Some(AssetCode::new("USD").unwrap());
    let cases: [(UsageFilter, Passes); 8] = [
        (UsageFilter { wallet: Some(wallet(WALLETS[1])), ..none() }, |call| {
            call.body.wallet == wallet(WALLETS[1])
        }),
        (UsageFilter { user: Some(user(2)), ..none() }, |call| call.body.user == Some(user(2))),
        (UsageFilter { application: Some(application(1)), ..none() }, |call| {
            call.body.application == Some(application(1))
        }),
        (UsageFilter { model: Some(model("good")), ..none() }, |call| call.body.model == model("good")),
        (UsageFilter { provider: Some(provider(PROVIDERS[0])), ..none() }, |call| {
            call.provider.as_deref() == Some(PROVIDERS[0])
        }),
        (UsageFilter { outcome: Some(ExecutionStatus::Failed), ..none() }, |call| {
            call.ended.is_some_and(|(outcome, _)| outcome == "failed")
        }),
        (UsageFilter { asset: usd, ..none() }, |_| true),
        (UsageFilter { asset: Some(AssetCode::new("EUR").unwrap()), ..none() }, |_| false),
    ];
    for (filter, passes) in cases {
        let passing: Vec<&Call> = calls.iter().filter(|call| passes(call)).collect();
        let mut window = window(&calls, Granularity::Day);
        // Not the whole time, so that the bounds count too.
        window.from += TimeDelta::hours(20);
        let group_by = BTreeSet::from([Dimension::Outcome, Dimension::Model]);
        let expected = expected(&passing, &window, &group_by);
        let question = UsageQuestion { window, group_by, filter };
        assert_eq!(found(&running.reader, &ledger, &question).await, expected, "{question:?}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_asked_for_are_told_of() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 12, 20).await;
    caught_up(&ledger).await;
    let window = window(&calls(&ledger).await, Granularity::Hour);
    let question = UsageQuestion { window, group_by: BTreeSet::new(), filter: UsageFilter::default() };
    let questions = running.reader.tenant(ledger.tenant);
    let all = questions.usage(&question, 1_000).await.unwrap().value.rows;
    let most = u32::try_from(all.len()).unwrap();
    assert!(!questions.usage(&question, most).await.unwrap().value.more);
    let cut = questions.usage(&question, most - 1).await.unwrap().value;
    assert!(cut.more);
    assert_eq!(cut.rows, all[..all.len() - 1]);
    let latency = questions.latency(&question, 1).await.unwrap().value;
    assert!(latency.more && latency.rows.len() == 1);
    running.stop().await;
}

/// The nearest-rank percentile.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

fn assert_near(found: Option<Percentiles>, mut measured: Vec<u64>) {
    measured.sort_unstable();
    assert_eq!(found.map_or(0, |found| found.calls), measured.len() as u64);
    if let Some(found) = found {
        for (told, percent) in [(found.p50_ms, 50), (found.p90_ms, 90), (found.p99_ms, 99)] {
            let exact = percentile(&measured, percent);
            assert!(told.abs_diff(exact) * 32 <= exact, "p{percent}: {told} for {exact}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn percentiles_are_within_their_bound_and_count_every_call() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 21, 60).await;
    caught_up(&ledger).await;
    let calls = calls(&ledger).await;
    for granularity in [Granularity::Total, Granularity::Day] {
        let window = window(&calls, granularity);
        for by in [vec![], vec![Dimension::Provider], vec![Dimension::Model, Dimension::Outcome]] {
            let group_by: BTreeSet<Dimension> = by.into_iter().collect();
            let mut measured: BTreeMap<_, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
            for call in calls.iter().filter(|call| call.total_ms.is_some()) {
                let key = (beginning(call.ended.unwrap().1, &window), group(call, &group_by));
                let (first, total) = measured.entry(key).or_default();
                first.extend(call.first_token_ms);
                total.extend(call.total_ms);
            }
            let question = UsageQuestion { window, group_by, filter: UsageFilter::default() };
            let answer = running.reader.tenant(ledger.tenant).latency(&question, 10_000).await.unwrap().value;
            assert_eq!(answer.rows.len(), measured.len(), "{question:?}");
            for row in answer.rows {
                let (first, total) = measured.remove(&(row.start, row.group)).unwrap();
                assert_near(row.first_token, first);
                assert_near(row.total, total);
            }
        }
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_top_spenders_are_those_that_cost_most() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 31, 40).await;
    caught_up(&ledger).await;
    let calls = calls(&ledger).await;
    let window = window(&calls, Granularity::Total);
    for by in Dimension::ALL {
        let group_by = BTreeSet::from([by]);
        let all: Vec<&Call> = calls.iter().collect();
        let mut costs: Vec<_> = expected(&all, &window, &group_by)
            .into_iter()
            .filter(|(_, (_, _, cost))| *cost > 0)
            .map(|((_, group), (calls, _, cost))| (cost, calls, group))
            .collect();
        costs.sort_by_key(|(cost, _, _)| std::cmp::Reverse(*cost));
        for places in [1, 2, 100] {
            let questions = running.reader.tenant(ledger.tenant);
            let answer =
                questions.top_spenders(&window, by, &UsageFilter::default(), places).await.unwrap().value;
            let found: Vec<_> = answer
                .rows
                .into_iter()
                .zip(1..)
                .map(|(row, place)| {
                    assert_eq!((row.place, row.asset.as_str()), (place, "USD"));
                    let cost: Amount = row.consumption.cost.parse().unwrap();
                    (cost.minor(), row.consumption.calls, row.group)
                })
                .collect();
            let most = costs.len().min(usize::try_from(places).unwrap());
            assert_eq!(found, costs[..most], "{by:?}");
        }
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_call_after_it_expired_counts_and_the_call_counts_once() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    let quoted = crate::world::quoted("north", "fast", 3);
    let usage = domain::Usage { input: 1_000_000, ..domain::Usage::default() };
    // One whose events come one by one, and one whose end and bill are in one batch.
    for (number, apart) in [(1, true), (2, false)] {
        let id = domain::ExecutionId(uuid::Uuid::from_u128(number));
        let call = Box::new(crate::world::call(&ledger, "customers:3"));
        crate::world::done(&ledger, Command::Execute { id, call }).await;
        ledger.clock.advance(TimeDelta::hours(2));
        crate::world::done(&ledger, Command::ExpireExecution { id }).await;
        if apart {
            caught_up(&ledger).await;
            ledger.clock.advance(TimeDelta::hours(2));
        }
        let finished = Box::new(crate::world::finished(Some(quoted.clone()), usage));
        crate::world::done(&ledger, Command::FinishExecution { id, finished }).await;
    }
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    let owner = ledger.database.pool(journal::Role::Owner, 1).await;
    let sums: (String, String) =
        sqlx::query_as("SELECT sum(calls)::text, sum(cost)::text FROM views.usage_quarters")
            .fetch_one(&owner)
            .await
            .unwrap();
    let paid = ledger.wallet("@revenue").await.balance.posted.to_string();
    assert_eq!(sums, ("2".to_owned(), paid));
    running.stop().await;
}

/// Twenty-one calls, every third in euros.
async fn calls_in_two_assets(ledger: &Ledger) {
    let euros = AssetCode::new("EUR").unwrap();
    let register = Command::RegisterAsset { code: euros.clone(), scale: Scale::new(3).unwrap() };
    crate::world::done(ledger, register).await;
    let funds = TransactionRequest {
        postings: vec![posting("@bank", "euros:1", "40.000", "EUR")],
        open_wallets: true,
        ..TransactionRequest::default()
    };
    ledger.submit(funds).await.unwrap();
    for number in 0..21 {
        let in_euros = number % 3 == 2;
        let mut quoted = crate::world::quoted(PROVIDERS[usize::from(number % 2 == 0)], "fast", 3);
        let mut call = crate::world::call(ledger, if in_euros { "euros:1" } else { "customers:3" });
        if in_euros {
            quoted.price.asset = euros.clone();
        }
        (call.user, call.quotes) = (Some(user(number % 2)), vec![quoted.clone()]);
        let id = domain::ExecutionId(uuid::Uuid::from_u128(u128::from(number) + 1));
        crate::world::done(ledger, Command::Execute { id, call: Box::new(call) }).await;
        let usage = domain::Usage { input: 50_001 * (number + 1), ..domain::Usage::default() };
        let finished = Box::new(crate::world::finished(Some(quoted), usage));
        crate::world::done(ledger, Command::FinishExecution { id, finished }).await;
        ledger.clock.advance(TimeDelta::hours(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_two_assets_are_summed_apart_and_each_sum_is_its_revenue() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    calls_in_two_assets(&ledger).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    let calls = calls(&ledger).await;
    for (asset, scale, revenue) in [("USD", 2, "@revenue"), ("EUR", 3, "@revenue:EUR")] {
        let code = AssetCode::new(asset).unwrap();
        let revenue = ledger.wallet(revenue).await;
        assert_eq!(revenue.asset, code);
        let own: Vec<&Call> = calls.iter().filter(|call| call.body.asset == code).collect();
        for granularity in [Granularity::Total, Granularity::Day] {
            let window = window(&calls, granularity);
            for group_by in groupings() {
                // Among all, and where only this asset is asked for.
                for asked in [None, Some(code.clone())] {
                    let filter = UsageFilter { asset: asked, ..UsageFilter::default() };
                    let question = UsageQuestion { window, group_by: group_by.clone(), filter };
                    let answer = running.reader.tenant(ledger.tenant).usage(&question, 100_000).await;
                    let rows = answer.unwrap().value.rows;
                    assert_eq!(rows.iter().any(|row| row.asset != asset), question.filter.asset.is_none());
                    let found: BTreeMap<_, Sums> = rows
                        .into_iter()
                        .filter(|row| row.asset == asset)
                        .map(|row| {
                            let cost: Amount = row.consumption.cost.parse().unwrap();
                            let cost = cost.at_scale(Scale::new(scale).unwrap()).unwrap().minor();
                            let sums = (row.consumption.calls, row.consumption.usage.buckets(), cost);
                            ((row.start, row.group), sums)
                        })
                        .collect();
                    assert_eq!(found, expected(&own, &window, &question.group_by), "{asset}: {question:?}");
                    let cost: i128 = found.values().map(|(_, _, cost)| cost).sum();
                    assert_eq!(cost, revenue.balance.posted.minor(), "{asset}: {question:?}");
                }
            }
        }
    }
    running.stop().await;
}
