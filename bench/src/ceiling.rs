//! The ceiling: how fast rows like the journal's can be appended at best to a table like the journal's.
//!
//! The table has the columns, indexes and constraints of `journal.events` but neither triggers nor row-level security,
//! no head is moved, and each connection keeps its prepared statement. All values are encoded before the clock starts:
//! what is timed is sending them, the database's work, the flush, and the answer.

mod encode;

use counterfoil::system::SystemClock;
use domain::Clock as _;
use journal::Role;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::{Executor as _, PgPool, Postgres};

use crate::append::batches;
use crate::measure::{Case, Failure, Worker, fixed_work};
use crate::report::Report;
use crate::rows::Originals;
use crate::world::{Extent, World};

/// Rows of a statement.
pub const SIZES: [usize; 3] = [500, 100, 2_000];
/// Connections at once.
pub const CONNECTIONS: [usize; 3] = [1, 2, 4];
/// Connections that insert single rows.
const SINGLES: [usize; 3] = [1, 16, 64];

/// About how many rows a case appends, over all its connections.
pub fn amount(world: &World) -> usize {
    if world.extent == Extent::Quick { 40_000 } else { 120_000 }
}

/// How rows get into the table.
#[derive(Debug, Clone, Copy)]
enum Way {
    Unnest(usize),
    Copy(usize),
    Single,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Unnest(size) => format!("unnest of {size}"),
            Self::Copy(size) => format!("copy of {size}"),
            Self::Single => "single rows".to_owned(),
        }
    }

    fn rows(self) -> usize {
        match self {
            Self::Unnest(size) | Self::Copy(size) => size,
            Self::Single => 1,
        }
    }

    fn prepare(self, connection: usize, originals: &Originals, rows: usize) -> Result<Vec<Load>, Failure> {
        let partition = i32::try_from(connection)?;
        let recorded_at = SystemClock.now();
        let mut position = 0;
        let mut loads = Vec::new();
        for rows in batches(originals.copies(connection), self.rows(), rows) {
            let place = encode::Place { partition, position, recorded_at };
            position += i64::try_from(rows.len())?;
            let count = rows.len() as u64;
            loads.push(match self {
                Self::Unnest(_) => Load::Statement(encode::UNNEST, encode::arrays(place, &rows)?, count),
                Self::Single => Load::Statement(encode::SINGLE, encode::row(place, &rows)?, count),
                Self::Copy(_) => Load::Copy(encode::binary(place, &rows)?, count),
            });
        }
        Ok(loads)
    }
}

/// Rows that are ready to be sent.
enum Load {
    Statement(&'static str, PgArguments, u64),
    Copy(Vec<u8>, u64),
}

/// A connection with its rows.
struct Loader {
    connection: PoolConnection<Postgres>,
    loads: std::vec::IntoIter<Load>,
}

impl Worker for Loader {
    async fn work(&mut self) -> Result<Option<u64>, Failure> {
        match self.loads.next() {
            None => Ok(None),
            Some(Load::Statement(text, values, rows)) => {
                sqlx::query_with(text, values).execute(&mut *self.connection).await?;
                Ok(Some(rows))
            }
            Some(Load::Copy(bytes, rows)) => {
                let mut copy = self.connection.copy_in_raw(encode::COPY).await?;
                copy.send(bytes).await?;
                copy.finish().await?;
                Ok(Some(rows))
            }
        }
    }
}

/// One round: every case into an empty table.
///
/// # Errors
/// What the database says.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let originals = world.originals().await?;
    let database = world.database(&format!("ceiling_{number}"), 1).await?;
    for (way, connections) in cases(world) {
        let pool = database.pool(Role::Owner, u32::try_from(connections)?).await?;
        empty_table(&pool).await?;
        // Of single rows fewer are enough, one at a time fewer still.
        let fewer = if way.rows() > 1 {
            1
        } else if connections == 1 {
            16
        } else {
            4
        };
        let mut loaders = Vec::new();
        for connection in 0..connections {
            let loads = way.prepare(connection, &originals, amount(world) / connections / fewer)?;
            loaders.push(Loader { connection: pool.acquire().await?, loads: loads.into_iter() });
        }
        world.settle().await?;
        report.add(fixed_work(Case::new("ceiling", way.name(), connections), "rows", loaders).await?);
        pool.close().await;
    }
    world.discard(database).await
}

fn cases(world: &World) -> Vec<(Way, usize)> {
    let mut cases = Vec::new();
    for connections in world.choose(&CONNECTIONS) {
        cases.extend(world.choose(&SIZES).into_iter().map(|size| (Way::Unnest(size), connections)));
        cases.push((Way::Copy(2_000), connections));
    }
    cases.extend(world.choose(&SINGLES).into_iter().map(|connections| (Way::Single, connections)));
    cases
}

async fn empty_table(pool: &PgPool) -> Result<(), Failure> {
    pool.execute(sqlx::raw_sql(
        "DROP SCHEMA IF EXISTS ceiling CASCADE;
         CREATE SCHEMA ceiling;
         CREATE TABLE ceiling.events (LIKE journal.events INCLUDING ALL)",
    ))
    .await?;
    Ok(())
}
