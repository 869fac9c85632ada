//! The journal: events per second through its own append, the events made beforehand.

use chrono::{DateTime, Utc};
use counterfoil::system::SystemClock;
use domain::{Clock as _, Partition};
use journal::{Head, Journal, NewEvent};

use crate::ceiling::{CONNECTIONS, SIZES, amount};
use crate::measure::{Case, Failure, Worker, fixed_work};
use crate::report::Report;
use crate::world::World;

/// The one writer of a partition.
struct Writer {
    journal: Journal,
    head: Head,
    recorded_at: DateTime<Utc>,
    batches: std::vec::IntoIter<Vec<NewEvent>>,
}

impl Worker for Writer {
    async fn work(&mut self) -> Result<Option<u64>, Failure> {
        let Some(events) = self.batches.next() else { return Ok(None) };
        self.head = self.journal.append(self.head, self.recorded_at, &events).await?;
        Ok(Some(events.len() as u64))
    }
}

/// One round: as many partitions as connections, each with its writer.
///
/// # Errors
/// What the database says.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let originals = world.originals().await?;
    for connections in world.choose(&CONNECTIONS) {
        for size in world.choose(&SIZES) {
            let database = world.database(&format!("journal_{number}"), i32::try_from(connections)?).await?;
            let journal = database.journal(u32::try_from(connections)?).await?;
            let mut writers = Vec::new();
            for partition in 0..connections {
                let copies = originals.copies(partition);
                writers.push(Writer {
                    journal: journal.clone(),
                    head: journal.head(Partition(i32::try_from(partition)?)).await?,
                    recorded_at: SystemClock.now(),
                    batches: batches(copies, size, amount(world) / connections).into_iter(),
                });
            }
            world.settle().await?;
            let case = Case::new("journal", format!("append of {size}"), connections);
            report.add(fixed_work(case, "events", writers).await?);
            journal.pool().close().await;
            world.discard(database).await?;
        }
    }
    Ok(())
}

/// At least `events` events in batches of `size`, and one batch more for warming up.
pub fn batches(mut copies: crate::rows::Copies, size: usize, events: usize) -> Vec<Vec<NewEvent>> {
    let count = events.div_ceil(size) + 1;
    (0..count).map(|_| copies.by_ref().take(size).collect()).collect()
}
