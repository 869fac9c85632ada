use chrono::{DateTime, Utc};
use identity::access_log::{AccessView, Place};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A request that read something of the tenant, or that an operator of the platform made in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Access)]
pub struct AccessBody {
    /// The line's id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// `user`, `program` or `operator`.
    #[schema(example = "user")]
    pub actor_kind: Option<String>,
    /// The id of the user or the key, or an operator's name.
    pub actor: String,
    /// Whether an operator of the platform looked into a tenant that is not their own.
    pub crossing: bool,
    /// The method.
    #[schema(example = "GET")]
    pub method: String,
    /// The path, without the query.
    #[schema(example = "/v1/wallets/customers:42:credits")]
    pub path: String,
    /// The status of the answer.
    #[schema(example = 200)]
    pub status: i32,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The address it came from; null for programs, and of somebody who was erased.
    pub address: Option<String>,
}

impl From<AccessView> for AccessBody {
    fn from(view: AccessView) -> Self {
        Self {
            id: view.place.id,
            at: view.place.at,
            actor_kind: view.actor_kind.map(|kind| kind.as_str().to_owned()),
            actor: view.actor,
            crossing: view.crossing,
            method: view.method,
            path: view.path,
            status: view.status,
            request_id: view.request_id,
            address: view.address,
        }
    }
}

impl AccessBody {
    /// Where it stands in the list, for a cursor.
    pub fn place(&self) -> String {
        format!("{}/{}", self.at.timestamp_micros(), self.id)
    }

    /// The place that a cursor names.
    pub fn placed(text: &str) -> Option<Place> {
        let (micros, id) = text.split_once('/')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(Place { at, id: Uuid::try_parse(id).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let id = Uuid::from_u128(7);
        let text = format!("1700000000000001/{id}");
        let place = AccessBody::placed(&text).unwrap();
        assert_eq!((place.at.timestamp_micros(), place.id), (1_700_000_000_000_001, id));
        for bad in ["", "/", "1", "1/", "x/7", "9223372036854775807/00000000-0000-0000-0000-000000000007"] {
            assert!(AccessBody::placed(bad).is_none(), "{bad}");
        }
    }
}
