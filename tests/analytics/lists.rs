use chrono::TimeDelta;
use commands::{AllowanceChange, Command};
use domain::catalogue::CatalogueCommand;
use domain::execution::ExecutionStatus;
use domain::{
    Allowance, AllowanceId, Catalogue, CatalogueId, Execution, ExecutionId, GrantId, LevelName, TenantId,
    Usage, WalletId, event,
};
use journal::{Role, SNAPSHOT_FORM, StreamStart};
use projections::{AllowanceFilter, Due, ExecutionFilter, Kind, VerifyError};
use uuid::Uuid;

use crate::support::ledger::{Ledger, amount, transfer};
use crate::truth::{Call, calls};
use crate::world::{
    MODELS, PROVIDERS, Running, WALLETS, application, assert_verified, call, caught_up, done, finished,
    model, provider, quoted, tenant, traffic, user, wallet,
};

/// A stream of the tenant's folded from the journal alone.
async fn folded<A: cqrs_es::Aggregate<Event: domain::Event>>(ledger: &Ledger, id: Uuid) -> (A, i64) {
    let events = ledger.journal.stream(ledger.partition(), id, i64::MAX).await.unwrap();
    let mut state = A::default();
    for text in events.iter().map(|event| &event.text) {
        state.apply(event::decode(&text.event_type, text.event_version, &text.payload).unwrap());
    }
    (state, events.len().try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_executions_leave_out_nothing_and_follow_their_filters() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 41, 40).await;
    let id = ExecutionId(Uuid::from_u128(77));
    done(&ledger, Command::Execute { id, call: Box::new(call(&ledger, "customers:3")) }).await;
    caught_up(&ledger).await;
    let questions = running.reader.tenant(ledger.tenant);
    let mut all = calls(&ledger).await;
    all.reverse();
    let middle = all[all.len() / 2].requested_at;
    let none = ExecutionFilter::default;
    type Passes = Box<dyn Fn(&Call) -> bool>;
    let status = |call: &Call| call.ended.map_or("running", |(outcome, _)| outcome);
    let mut cases: Vec<(ExecutionFilter, Passes)> = vec![
        (none(), Box::new(|_| true)),
        (
            ExecutionFilter { wallet: Some(wallet(WALLETS[0])), ..none() },
            Box::new(|call| call.body.wallet == wallet(WALLETS[0])),
        ),
        (
            ExecutionFilter { application: Some(application(2)), ..none() },
            Box::new(|call| call.body.application == Some(application(2))),
        ),
        (ExecutionFilter { user: Some(user(1)), ..none() }, Box::new(|call| call.body.user == Some(user(1)))),
        (
            ExecutionFilter { model: Some(model(MODELS[1])), ..none() },
            Box::new(|call| call.body.model == model(MODELS[1])),
        ),
        (
            ExecutionFilter { provider: Some(provider(PROVIDERS[1])), ..none() },
            Box::new(|call| call.provider.as_deref() == Some(PROVIDERS[1])),
        ),
        (
            ExecutionFilter { requested_from: Some(middle), ..none() },
            Box::new(move |call| call.requested_at >= middle),
        ),
        (
            ExecutionFilter { requested_to: Some(middle), ..none() },
            Box::new(move |call| call.requested_at < middle),
        ),
    ];
    use ExecutionStatus::{Cancelled, Completed, Expired, Failed, Running as Goes};
    for one in [Goes, Completed, Failed, Cancelled, Expired] {
        let passes = move |call: &Call| status(call) == one.as_str();
        cases.push((ExecutionFilter { status: Some(one), ..none() }, Box::new(passes)));
    }
    for (filter, passes) in cases {
        let expected: Vec<ExecutionId> = all.iter().filter(|call| passes(call)).map(|call| call.id).collect();
        assert!(!expected.is_empty(), "{filter:?}");
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = questions.executions(&filter, before, 7).await.unwrap().value;
            let Some(last) = page.last() else { break };
            before = Some(last.position);
            found.extend(page.iter().map(|view| view.id));
        }
        assert_eq!(found, expected, "{filter:?}");
    }
    for call in &all {
        let view = questions.execution(call.id).await.unwrap().value.unwrap();
        let (state, _): (Execution, _) = folded(&ledger, call.id.0).await;
        assert_eq!((view.state, view.position), (state, call.position));
        assert_eq!((view.requested_at, view.ended_at), (call.requested_at, call.ended.map(|(_, at)| at)));
    }
    let foreign = running.reader.tenant(TenantId(Uuid::from_u128(5)));
    assert_eq!(foreign.executions(&none(), None, 10).await.unwrap().value, []);
    assert_eq!(foreign.execution(all[0].id).await.unwrap().value, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogues_and_allowances_are_the_folds_of_their_streams() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 42, 20).await;
    caught_up(&ledger).await;
    let questions = running.reader.tenant(ledger.tenant);
    let view = questions.catalogue().await.unwrap().value.unwrap();
    let (state, events): (Catalogue, _) = folded(&ledger, CatalogueId::of(ledger.tenant).0).await;
    assert_eq!((view.state, view.sequence), (state, events));
    assert_eq!(questions.catalogue_behind(events).await.unwrap().value, None, "it has not changed");
    assert!(questions.catalogue_behind(events - 1).await.unwrap().value.is_some());
    assert_eq!(running.reader.tenant(TenantId::PLATFORM).catalogue().await.unwrap().value, None);

    let views = questions.allowances(&AllowanceFilter::default(), None, 100).await.unwrap().value;
    assert!(views.len() >= 2 && views.is_sorted_by(|one, next| one.path < next.path));
    for view in &views {
        let id = AllowanceId::of(WalletId::of(ledger.tenant, &view.state.wallet)).0;
        let (state, events): (Allowance, _) = folded(&ledger, id).await;
        assert_eq!((&view.state, view.sequence), (&state, events));
        assert_eq!((view.path.as_str(), view.due_at), (state.wallet.as_str(), state.due_at()));
        let one = questions.allowance(&state.wallet).await.unwrap().value.unwrap();
        assert_eq!(one, *view);
    }
    let none = AllowanceFilter::default;
    let gold = Some(LevelName::new("gold").unwrap());
    for (filter, passes) in [
        (
            AllowanceFilter { level: gold.clone(), ..none() },
            views.iter().filter(|v| v.state.level == gold).count(),
        ),
        (
            AllowanceFilter { user: Some(user(7)), ..none() },
            views.iter().filter(|v| v.state.user == Some(user(7))).count(),
        ),
        (
            AllowanceFilter { in_debt: true, ..none() },
            views.iter().filter(|v| v.state.debt.is_positive()).count(),
        ),
        (AllowanceFilter { prefix: "customers:1".into(), ..none() }, 1),
        (AllowanceFilter { prefix: "nobody".into(), ..none() }, 0),
    ] {
        assert_eq!(questions.allowances(&filter, None, 100).await.unwrap().value.len(), passes, "{filter:?}");
    }
    let second = questions.allowances(&none(), Some("customers:1"), 1).await.unwrap().value;
    assert_eq!(second.as_slice(), &views[1..2]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_round_and_what_is_owed_is_found_when_there_is_money() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    let ends = Some(ledger.clock.get() + TimeDelta::minutes(10));
    for (path, number) in WALLETS.iter().zip(1..) {
        let grant = GrantId(Uuid::from_u128(number));
        let change = AllowanceChange::Grant { grant, amount: amount("1.00"), priority: 1, expires_at: ends };
        done(&ledger, Command::Allowance { path: wallet(path), change }).await;
    }
    caught_up(&ledger).await;
    let due = Due::new(ledger.database.pool(Role::Writer, 1).await);
    let find = async |limit| due.allowances(ledger.partition(), ledger.clock.get(), limit).await.unwrap();
    assert_eq!(find(10).await, []);
    ledger.clock.advance(TimeDelta::minutes(10));
    assert_eq!(find(10).await.len(), 4);
    // As if none of them could be renewed.
    let mut seen: Vec<_> = find(3).await;
    assert_eq!(seen.len(), 3);
    seen.extend(find(3).await);
    seen.sort();
    assert_eq!(seen, WALLETS.map(|path| (ledger.tenant, wallet(path))));
    for path in WALLETS {
        done(&ledger, Command::Allowance { path: wallet(path), change: AllowanceChange::Renew }).await;
    }
    caught_up(&ledger).await;
    assert_eq!(find(3).await, []);

    // A call that costs ten times what customers:3 has.
    let id = ExecutionId(Uuid::from_u128(1));
    let usage = Usage { input: 150_000_000, ..Usage::default() };
    let finished = Box::new(finished(Some(quoted("north", "fast", 3)), usage));
    done(&ledger, Command::Execute { id, call: Box::new(call(&ledger, "customers:3")) }).await;
    done(&ledger, Command::FinishExecution { id, finished }).await;
    caught_up(&ledger).await;
    assert_eq!(find(10).await, [], "there is nothing to pay with");
    ledger.submit(transfer("@world", "customers:3", "5.00")).await.unwrap();
    caught_up(&ledger).await;
    assert_eq!(find(10).await, [(ledger.tenant, wallet("customers:3"))]);
    let change = AllowanceChange::Renew;
    done(&ledger, Command::Allowance { path: wallet("customers:3"), change }).await;
    caught_up(&ledger).await;
    assert_eq!(find(10).await, []);
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_streams_of_catalogues_and_allowances_have_snapshots() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    let price = quoted("north", "fast", 3).price;
    for number in 0..260_u128 {
        let (asset, rates) = (price.asset.clone(), price.rates);
        let named = model(&format!("model-{}", number % 50));
        let set = CatalogueCommand::SetPrice { provider: provider("north"), model: named, asset, rates };
        done(&ledger, Command::Catalogue(set)).await;
        let grant = GrantId(Uuid::from_u128(number));
        let change = AllowanceChange::Grant { grant, amount: amount("0.01"), priority: 1, expires_at: None };
        done(&ledger, Command::Allowance { path: wallet("customers:4"), change }).await;
    }
    caught_up(&ledger).await;
    running.stop().await;
    let allowance = AllowanceId::of(WalletId::of(ledger.tenant, &wallet("customers:4"))).0;
    let ids = [CatalogueId::of(ledger.tenant).0, allowance];
    let start = StreamStart::Snapshot { form: SNAPSHOT_FORM };
    let found = ledger.journal.prefetch(ledger.partition(), &ids, start).await.unwrap();
    assert_eq!(found.snapshots.len(), 2, "one of each");
    assert!(found.events.len() < 200, "{}", found.events.len());
    // A writer that remembers nothing goes on from there.
    let other = ledger.restarted().await;
    done(
        &other,
        Command::Catalogue(CatalogueCommand::SetPrice {
            provider: provider("north"),
            model: model("model-0"),
            asset: price.asset.clone(),
            rates: price.rates,
        }),
    )
    .await;
    let (state, _): (Catalogue, _) = folded(&ledger, ids[0]).await;
    assert_eq!(state.price(&provider("north"), &model("model-0")).unwrap().version, 7);
    let running = Running::start(&ledger).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_found_by_verify_and_repaired_by_a_rebuild() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    traffic(&ledger, 43, 10).await;
    caught_up(&ledger).await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let pool = ledger.database.pool(Role::Writer, 2).await;
    for (kind, harm, named) in [
        (
            Kind::Catalogues,
            "UPDATE views.catalogues SET state = jsonb_set(state, '{time_zone}', '\"UTC\"')",
            "catalogue",
        ),
        (Kind::Catalogues, "UPDATE views.catalogues SET sequence = sequence - 1", "catalogue"),
        (Kind::Catalogues, "DELETE FROM views.catalogues", "catalogue"),
        (Kind::Allowances, "UPDATE views.allowances SET level = NULL WHERE level IS NOT NULL", "allowance"),
        (Kind::Allowances, "UPDATE views.allowances SET due_at = NULL WHERE due_at IS NOT NULL", "allowance"),
        (Kind::Allowances, "UPDATE views.allowances SET debt = debt + 1", "allowance"),
        (Kind::Allowances, "DELETE FROM views.allowances WHERE path = 'customers:2'", "allowance"),
        (
            Kind::Executions,
            "UPDATE views.executions SET status = 'failed' WHERE status = 'completed'",
            "execution",
        ),
        (Kind::Executions, "UPDATE views.executions SET cost = cost + 1 WHERE cost > 0", "execution"),
        (
            Kind::Executions,
            "UPDATE views.executions SET provider = NULL WHERE provider IS NOT NULL",
            "execution",
        ),
        (Kind::Executions, "UPDATE views.executions SET expires_at = now()", "execution"),
        (Kind::Executions, "DELETE FROM views.executions WHERE status = 'expired'", "execution"),
        (Kind::Executions, "UPDATE views.usage_quarters SET calls = calls + 1", "usage"),
        (Kind::Executions, "UPDATE views.usage_quarters SET cost = cost + 0.01", "usage"),
        (Kind::Executions, "UPDATE views.usage_quarters SET input = input + 1 WHERE input > 0", "usage"),
        (
            Kind::Executions,
            "UPDATE views.usage_quarters SET total = total || total WHERE total <> '{}'",
            "usage",
        ),
        (Kind::Executions, "UPDATE views.usage_quarters SET user_ref = 'x' WHERE user_ref = ''", "usage"),
        (Kind::Executions, "DELETE FROM views.usage_quarters WHERE outcome = 'completed'", "usage"),
    ] {
        assert!(sqlx::query(harm).execute(&owner).await.unwrap().rows_affected() > 0, "{harm}");
        let verified = projections::verify(&pool, &ledger.journal, |_| {}).await;
        let Err(VerifyError::Difference(difference)) = verified else { panic!("{harm}: {verified:?}") };
        assert!(difference.place.contains(named), "{harm}: {difference}");
        projections::rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
        assert_verified(&ledger).await;
    }
    running.stop().await;
}
