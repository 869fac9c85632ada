//! The gateway: calls of AI models in the shapes of their providers, each held, metered, priced and settled in the ledger.
//!
//! What a client sends passes to the provider byte for byte, but for the model's name, the credential and what makes a
//! stream report its usage; what the provider answers passes back the same way ([`mod@dialect`]). Where the model is had
//! at a provider of another shape, both are translated as far as the shapes agree ([`mod@translate`]).
//!
//! The life of a call ([`mod@call`]): request and hold, one commit; attempts at one provider after the other until a part
//! of an answer is there ([`mod@trip`]); the answer on its way to the client, while the hold grows ([`mod@flow`]); its end,
//! one commit ([`mod@ledger`]). It is a task of its own, so nothing that the client does or leaves undone keeps its end from
//! being recorded. The end of an answer is kept back until that is done: who has seen it finds it settled.
//!
//! Memory is bounded: an event of a stream, a whole answer and what waits for a slow reader each have a limit, and so has the
//! number of calls ([`mod@seat`]).

mod breaker;
mod call;
mod client;
mod dialect;
mod estimate;
mod flow;
mod gateway;
mod hold;
mod json;
mod ledger;
mod offer;
mod options;
mod outlet;
mod query;
mod record;
mod refusal;
mod reply;
mod retry;
mod route;
mod running;
mod seat;
mod sse;
mod translate;
mod trip;
mod upstream;

pub use breaker::BreakerOptions;
pub use gateway::{Call, Gateway};
pub use offer::{NoOffer, Offer, Offers, Secret, Supplier};
pub use options::{Departure, Options};
pub use query::Query;
pub use refusal::Refusal;
pub use reply::{Broken, Chunks, Reply, ReplyBody};
pub use retry::RetryOptions;
pub use running::{Others, Running};
pub use upstream::UpstreamOptions;
