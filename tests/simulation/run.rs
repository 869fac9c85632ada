//! A run of one seed from its beginning to the judgement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use commands::{Context, Failure, Outcome, Request, Resource};
use domain::{Clock as _, Partition};
use projections::Kind;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::history::{Answer, Entry};
use crate::node::Node;
use crate::workload::{Asked, Workload};
use crate::world::{Part, World};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    /// The commands that were asked for, and those that were sent.
    pub asked: usize,
    pub commands: usize,
    pub accepted: usize,
    /// By code.
    pub refused: BTreeMap<&'static str, u64>,
    pub unanswered: usize,
    pub events: i64,
    pub faults: BTreeMap<&'static str, u64>,
    pub trace: u64,
    pub violations: Vec<String>,
}

/// Runs a seed with about this many commands.
pub fn run(seed: u64, commands: usize) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let run = Arc::new(Run::new(seed, commands));
        run.live().await;
        run.report()
    })
}

struct Run {
    world: Arc<World>,
    workload: Mutex<Workload>,
    nodes: Mutex<Vec<Arc<Node>>>,
    history: Mutex<Vec<Entry>>,
    /// The last number that was given out, and the commands still to be asked for.
    numbers: Mutex<(u64, usize)>,
    asked: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn new(seed: u64, commands: usize) -> Self {
        let world = World::new(seed);
        let workload = Mutex::new(Workload::new(seed, &world.profile));
        let (nodes, history, numbers) = (Mutex::default(), Mutex::default(), Mutex::new((0, commands)));
        Self { world, workload, nodes, history, numbers, asked: commands }
    }

    async fn live(self: &Arc<Self>) {
        self.start_node();
        let over = CancellationToken::new();
        let blows = tokio::spawn(Arc::clone(self).blows(over.clone()));
        for customer in 0..self.world.profile.tenants {
            let asked = locked(&self.workload).opening(customer);
            for one in asked {
                self.insist(customer, vec![one], 50).await;
            }
        }
        let clients = (0..self.world.profile.clients).map(|_| tokio::spawn(Arc::clone(self).client()));
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        over.cancel();
        blows.await.unwrap();
        self.come_to_rest().await;
    }

    fn start_node(&self) {
        let number = {
            let mut numbers = locked(&self.numbers);
            numbers.0 += 1;
            numbers.0
        };
        let node = Node::start(&self.world, number);
        locked(&self.nodes).push(node);
    }

    /// A client: asks, thinks, and asks again until there is nothing more to do.
    async fn client(self: Arc<Self>) {
        loop {
            {
                let mut numbers = locked(&self.numbers);
                if numbers.1 == 0 {
                    return;
                }
                numbers.1 -= 1;
            }
            let now = self.world.now();
            let (customer, asked) = locked(&self.workload).next(now);
            let attempts = locked(&self.workload).chance.size(1, 6);
            self.insist(customer, asked, attempts).await;
            let pause = locked(&self.workload).chance.between(0, 12);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Asks, and asks again with the same keys for what was not answered.
    async fn insist(&self, customer: usize, mut asked: Vec<Asked>, attempts: usize) {
        for _ in 0..attempts {
            let unanswered = self.ask(customer, &asked).await;
            asked = asked
                .into_iter()
                .zip(unanswered)
                .filter(|(one, open)| *open && one.1.is_some())
                .map(|(one, _)| one)
                .collect();
            if asked.is_empty() {
                return;
            }
            let pause = locked(&self.workload).chance.between(1, 400);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Asks once, and says which commands were not answered.
    async fn ask(&self, customer: usize, asked: &[Asked]) -> Vec<bool> {
        let node = loop {
            let nodes = locked(&self.nodes).clone();
            let live: Vec<_> = nodes.into_iter().filter_map(|node| Some((node.pipeline()?, node))).collect();
            if !live.is_empty() {
                break live[locked(&self.workload).chance.index(live.len())].clone();
            }
            sleep(Duration::from_millis(5)).await;
        };
        let (pipeline, node) = node;
        let tenant = locked(&self.workload).customers[customer].id;
        let partition = tenant.partition(Partition(self.world.profile.partitions));
        let first = {
            let mut numbers = locked(&self.numbers);
            numbers.0 += 1;
            numbers.0
        };
        let context = |index: usize| Context {
            actor: "client".into(),
            request_id: format!("{first}+{index}"),
            ..Context::default()
        };
        let requests: Vec<Request> = asked
            .iter()
            .enumerate()
            .map(|(index, (command, key))| Request {
                tenant,
                command: command.clone(),
                context: context(index),
                key: key.clone(),
            })
            .collect();
        let names: Vec<String> = requests.iter().map(|one| one.context.request_id.clone()).collect();
        let began = (self.world.head(partition), self.world.now(), self.turns());
        // Some clients lose their patience.
        let patience = {
            let mut workload = locked(&self.workload);
            if workload.chance.one_in(60) { workload.chance.between(0, 30) } else { 60_000 }
        };
        let answers = tokio::select! {
            biased;
            () = node.process.dead.cancelled() => None,
            answers = timeout(Duration::from_millis(patience), pipeline.submit_all(requests)) => answers.ok(),
        };
        let ended = (self.world.head(partition), self.world.now(), self.turns());
        let answers: Vec<Answer> = match answers {
            Some(answers) => answers.into_iter().map(answer).collect(),
            None => asked.iter().map(|_| Answer::Unknown).collect(),
        };
        let job: Vec<_> = asked.iter().filter_map(|(_, key)| key.clone()).collect();
        let mut unanswered = Vec::with_capacity(asked.len());
        for (((command, key), answer), request_id) in asked.iter().zip(answers).zip(names) {
            self.learn(customer, &answer);
            unanswered.push(matches!(answer, Answer::Unknown));
            locked(&self.history).push(Entry {
                tenant,
                partition,
                command: command.clone(),
                key: key.clone(),
                job: job.clone(),
                request_id,
                answer,
                heads: (began.0, ended.0),
                clocks: (began.1, ended.1),
                turned: began.2 != ended.2,
            });
        }
        unanswered
    }

    fn turns(&self) -> u64 {
        self.world.turns.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn learn(&self, customer: usize, answer: &Answer) {
        match answer {
            Answer::Done(Outcome { resource, position, replayed }) => {
                self.world.trace((position, replayed));
                let Resource::Transactions(made) = resource else { return };
                let workload = &mut *locked(&self.workload);
                for (id, _) in made {
                    let slot = workload.chance.index(24);
                    let known = &mut workload.customers[customer].transactions;
                    if known.len() <= slot { known.push(*id) } else { known[slot] = *id }
                }
            }
            Answer::Refused(failure) => self.world.trace(code(failure)),
            Answer::Unknown => self.world.trace("unknown"),
        }
    }

    /// What befalls whole processes and servers.
    async fn blows(self: Arc<Self>, over: CancellationToken) {
        let most = self.world.profile.blows;
        if most == 0 {
            return;
        }
        let world = &self.world;
        loop {
            let pause = world.chance().between(most / 10, most);
            tokio::select! {
                biased;
                () = over.cancelled() => return,
                () = sleep(Duration::from_millis(pause)) => {}
            }
            let (blow, time) = {
                let mut chance = world.chance();
                let longest = if chance.one_in(8) { 6_000 } else { most / 2 };
                (chance.between(0, 13), chance.between(5, longest))
            };
            let nodes = locked(&self.nodes).len();
            match blow {
                0..=3 => {
                    if let Some(node) = self.remove_node() {
                        node.kill(world);
                        sleep(Duration::from_millis(time / 8)).await;
                    }
                    self.start_node();
                }
                4 => {
                    world.fault("a process is restarted");
                    if let Some(node) = self.remove_node() {
                        tokio::spawn(async move { node.stop().await });
                    }
                    self.start_node();
                }
                5 | 6 => {
                    world.fault("the database is away");
                    world.send_away(Part::Database, Duration::from_millis(time));
                }
                7 | 8 => {
                    world.fault("JetStream is away");
                    world.send_away(Part::Broker, Duration::from_millis(time));
                }
                9 => {
                    world.fault("JetStream loses everything");
                    world.server().stream = None;
                    world.news.notify_waiters();
                }
                10 if nodes < 3 => {
                    world.fault("another process writes as well");
                    self.start_node();
                }
                10 => {
                    if let Some(node) = self.remove_node() {
                        node.kill(world);
                    }
                }
                11 | 12 => {
                    world.fault("the clock is turned");
                    let by = TimeDelta::milliseconds(i64::try_from(time).unwrap());
                    world.turn_clock(if blow == 11 { -by * 4 } else { by });
                }
                _ => {
                    world.fault("the clock jumps");
                    world.turn_clock(TimeDelta::seconds(40));
                }
            }
        }
    }

    fn remove_node(&self) -> Option<Arc<Node>> {
        let mut nodes = locked(&self.nodes);
        let index = self.world.chance().index(nodes.len().max(1));
        (index < nodes.len()).then(|| nodes.remove(index))
    }

    /// Nothing goes wrong any more: all that is open is resolved, and all readers catch up.
    async fn come_to_rest(&self) {
        self.world.calm_down();
        if self.world.chance().one_in(2) {
            let nodes: Vec<_> = locked(&self.nodes).drain(..).collect();
            for node in nodes {
                node.kill(&self.world);
            }
        }
        if locked(&self.nodes).is_empty() {
            self.start_node();
        }
        // Until whatever is still on its way has arrived.
        sleep(Duration::from_secs(30)).await;
        self.resolve().await;
        for _ in 0..3_000 {
            if self.has_caught_up() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let locks = self.world.locks().clone();
        self.world
            .violation(format!("the relay or a read model does not catch up; locks are held by {locks:?}"));
    }

    /// Asks once more for what nobody answered.
    async fn resolve(&self) {
        let open: Vec<(usize, Asked)> = {
            let (history, workload) = (locked(&self.history), locked(&self.workload));
            let unanswered = history.iter().filter(|entry| matches!(entry.answer, Answer::Unknown));
            let with_key = unanswered.filter_map(|entry| {
                let customer = workload.customers.iter().position(|one| one.id == entry.tenant)?;
                Some((customer, (entry.command.clone(), Some(entry.key.clone()?))))
            });
            with_key.take(100).collect()
        };
        for (customer, asked) in open {
            let answered = 'answered: {
                for _ in 0..20 {
                    if self.ask(customer, std::slice::from_ref(&asked)).await == [false] {
                        break 'answered true;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
                false
            };
            if !answered {
                self.world.violation(format!("{asked:?} is not answered though all is well"));
            }
        }
    }

    fn has_caught_up(&self) -> bool {
        let (model, server) = (self.world.model(), self.world.server());
        let Some(stream) = &server.stream else { return false };
        (0..self.world.profile.partitions).all(|partition| {
            let head = self.world.head(Partition(partition));
            let index = usize::try_from(partition).unwrap();
            let there =
                |kind: &Kind| model.0[index].checkpoints.get(kind.name()).copied().unwrap_or(0) == head;
            let messages = &stream.messages[index];
            let in_order =
                || (1..).zip(messages).all(|(at, message)| message.id == format!("{partition}-{at}"));
            Kind::ALL.iter().all(there) && messages.len() == usize::try_from(head).unwrap() && in_order()
        })
    }

    fn report(&self) -> Report {
        let history = locked(&self.history);
        check::check(&self.world, &history);
        let count = |is: fn(&Answer) -> bool| history.iter().filter(|entry| is(&entry.answer)).count();
        let mut refused = BTreeMap::new();
        for entry in history.iter() {
            if let Answer::Refused(failure) = &entry.answer {
                *refused.entry(code(failure)).or_default() += 1;
            }
        }
        Report {
            seed: self.world.seed,
            asked: self.asked,
            commands: history.len(),
            accepted: count(|answer| matches!(answer, Answer::Done(_))),
            refused,
            unanswered: count(|answer| matches!(answer, Answer::Unknown)),
            events: self.world.logs().iter().map(|log| log.head.position).sum(),
            faults: self.world.faults(),
            trace: self.world.trace_hash(),
            violations: self.world.violations(),
        }
    }
}

fn answer(result: Result<Outcome, Failure>) -> Answer {
    match result {
        Ok(outcome) => Answer::Done(outcome),
        Err(Failure::Unavailable(_)) => Answer::Unknown,
        Err(failure) => Answer::Refused(failure),
    }
}

fn code(failure: &Failure) -> &'static str {
    match failure {
        Failure::Rejected(rejection) => rejection.code(),
        Failure::KeyReused => "key_reused",
        Failure::Overloaded => "overloaded",
        Failure::Unavailable(_) => "unavailable",
    }
}
