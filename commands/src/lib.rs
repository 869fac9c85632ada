//! What may happen: the pipeline that turns commands into committed events, the relay that announces them
//! on NATS, and the sweeper that does in time what is due.
//!
//! The hot path, and what it costs: a command waits in its partition's queue, is decided in memory together
//! with all others that wait there ([`mod@execute`]), and becomes durable with one statement and one flush
//! for the whole batch ([`mod@writer`]). There are no row locks to wait for but the partition's head, and
//! nothing is announced before it is committed.

mod execute;
mod period;
mod pipeline;
mod relay;
mod replay;
mod request;
mod state;
mod sweep;
mod workspace;
mod writer;

pub use period::month;
pub use pipeline::{Pipeline, PipelineOptions};
pub use relay::{
    Acknowledged, Announcer, Broker, BrokerError, Described, JetStream, Message, Relay, STREAM, Taken,
};
pub use request::{
    AllowanceChange, Command, Context, Failure, FinishedCall, IdempotencyKey, NewCall, Outcome, Rejection,
    Request, Resource, TransactionRequest, Tried,
};
pub use sweep::{Due, sweep};
