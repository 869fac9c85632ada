//! Leases: which of several programs on one database does a job that only one may do.

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// A job taken by this program, for as long as its connection lives: a Postgres advisory lock. It is given
/// back when the lease is dropped or the program ends, however it ends.
#[derive(Debug)]
pub struct Lease {
    connection: PoolConnection<Postgres>,
}

impl Lease {
    /// Takes the job called `name` if nobody has it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take(pool: &PgPool, name: &str) -> Result<Option<Self>, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        // Whatever becomes of it, this connection does not go back to the pool with the lock on it.
        connection.close_on_drop();
        let taken = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('counterfoil ' || $1, 0)) AS "taken!""#,
            name
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(taken.then_some(Self { connection }))
    }

    /// Whether the job is still ours: asks the database on the connection that holds the lock.
    pub async fn held(&mut self) -> bool {
        sqlx::query("SELECT 1").execute(&mut *self.connection).await.is_ok()
    }
}
