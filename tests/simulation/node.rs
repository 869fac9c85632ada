//! One run of the program: the real pipeline, relay, sweeper and projectors over the simulated servers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use commands::{Due, Pipeline, PipelineOptions, Relay};
use domain::{Clock, Ids, Partition};
use projections::{Progress, Runtime, Settings};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{SimBroker, SimSource};
use crate::store::SimStore;
use crate::views::SimViews;
use crate::world::{Part, Process, World};

pub struct Node {
    pub process: Arc<Process>,
    pipeline: Mutex<Option<Pipeline>>,
    sweeping: CancellationToken,
    following: CancellationToken,
    writers: TaskTracker,
    followers: TaskTracker,
}

impl Node {
    pub fn start(world: &Arc<World>, number: u64) -> Arc<Self> {
        let process = Arc::new(Process { number, dead: CancellationToken::new() });
        let (world, profile) = (Arc::clone(world), world.profile.clone());
        let store = SimStore { world: Arc::clone(&world), process: Arc::clone(&process) };
        let broker =
            SimBroker { world: Arc::clone(&world), process: Arc::clone(&process), caught: Arc::default() };
        let clock: Arc<dyn Clock> = Arc::<World>::clone(&world);
        let ids: Arc<dyn Ids> = Arc::<World>::clone(&world);
        let (sweeping, following) = (CancellationToken::new(), CancellationToken::new());
        let (writers, followers) = (TaskTracker::new(), TaskTracker::new());
        let options = PipelineOptions {
            max_batch_events: profile.batch_events,
            queue_commands: profile.queue,
            cache_aggregates: profile.cache,
            patience: profile.patience,
        };
        let (relay, announcer) = Relay::over(store.clone(), &broker);
        let pipeline = Pipeline::start(&store, &clock, &ids, &options, &announcer, &writers);
        followers.spawn(relay.run(following.clone()));
        let projectors = Runtime {
            journal: store,
            views: SimViews { world: Arc::clone(&world), process: Arc::clone(&process) },
            source: Some(SimSource { world: Arc::clone(&world), process: Arc::clone(&process) }),
            progress: Progress::new(Partition(profile.partitions)),
            settings: Settings { tick: Duration::from_millis(250), batch: profile.projector_batch },
        };
        followers.spawn(projectors.run(following.clone()));
        let sweeper = Arc::clone(&process);
        let due = move |now| {
            let (world, process) = (Arc::clone(&world), Arc::clone(&sweeper));
            async move {
                process.live().await;
                world.travel().await;
                process.live().await;
                if world.is_away(Part::Database).await {
                    return Err("the database is away".to_owned());
                }
                Ok(world.model().due(now).into_iter().map(|(tenant, id)| (tenant, Due::Hold(id))).collect())
            }
        };
        let interval = Duration::from_millis(200);
        writers.spawn(commands::sweep(pipeline.clone(), clock, interval, sweeping.clone(), due));
        let pipeline = Mutex::new(Some(pipeline));
        Arc::new(Self { process, pipeline, sweeping, following, writers, followers })
    }

    pub fn pipeline(&self) -> Option<Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Dies in the middle of everything. The database learns of it a little later.
    pub fn kill(&self, world: &Arc<World>) {
        world.fault("a process is killed");
        self.process.dead.cancel();
        let noticed = Duration::from_millis(world.chance().between(0, 400));
        let (world, number) = (Arc::clone(world), self.process.number);
        tokio::spawn(async move {
            sleep(noticed).await;
            world.locks().retain(|_, holder| *holder != number);
        });
    }

    /// Ends as the program does when it is asked to.
    pub async fn stop(&self) {
        self.sweeping.cancel();
        drop(self.pipeline.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.writers.close();
        self.writers.wait().await;
        self.following.cancel();
        self.followers.close();
        self.followers.wait().await;
    }
}
