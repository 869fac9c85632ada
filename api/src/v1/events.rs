//! The tenant's journal.

use domain::Partition;
use journal::Position;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::extract::{Limit, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{EventBody, List};

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEvents {
    /// Only events behind this position, such as `p3:1841`; `next` of an earlier answer is one.
    #[param(value_type = Option<String>, format = "position")]
    after: Option<Field<Position>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListEvents {
    const WAITS: bool = false;
}

/// Lists the tenant's events as CloudEvents, oldest first.
///
/// `next` is the position of the last event, to be given as `after`; null where there are no more at present.
#[utoipa::path(get, path = "/v1/events", tag = "Audit", params(ListEvents), responses(
    (status = 200, description = "Events", body = List<EventBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn events(Read { query, view }: Read<ListEvents>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let ledger = view.ledger();
    let after = behind(query.after.map(|after| after.0), ledger.partition())?;
    let found = ledger.events(after, limit).await?;
    let full = i64::try_from(found.value.len()).is_ok_and(|length| length >= limit);
    let last = found.value.last().filter(|_| full);
    let next = last.map(|last| Position { partition: last.partition, position: last.position }.to_string());
    let items = found.value.iter().map(EventBody::try_from).collect::<Result<_, _>>()?;
    view.answer(found.position, &List { items, next })
}

fn behind(after: Option<Position>, own: Partition) -> Result<i64, Problem> {
    match after {
        Some(after) if after.partition != own => {
            Err(Problem::new(code::INVALID_POSITION, "the position is of another partition").at("after"))
        }
        after => Ok(after.map_or(0, |after| after.position)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_partition_is_refused() {
        let at = |partition| Some(Position { partition: Partition(partition), position: 7 });
        assert_eq!(behind(None, Partition(3)).unwrap(), 0);
        assert_eq!(behind(at(3), Partition(3)).unwrap(), 7);
        assert_eq!(behind(at(2), Partition(3)).unwrap_err().code, code::INVALID_POSITION);
    }
}
