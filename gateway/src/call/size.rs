//! What is held for a call at first.

use domain::Usage;
use domain::execution::{Basis, Operation};

use crate::dialect::Asked;
use crate::options::Options;

/// What a call may need.
pub(super) struct Size {
    /// What is held for.
    pub(super) estimate: Usage,
    /// What that was made by.
    pub(super) basis: Basis,
    /// The most tokens of output that can come, all answers together.
    pub(super) bound: Option<u64>,
}

/// The size of a call to a model that gives `most` tokens in one answer.
pub(super) fn size(operation: Operation, asked: &Asked, most: Option<u64>, options: &Options) -> Size {
    let all = |one: u64| one.saturating_mul(asked.answers);
    let (bound, whose) = match (asked.most_output, most) {
        (Some(bound), _) => (Some(bound), Basis::ClientBound),
        (None, Some(most)) => (Some(all(most)), Basis::ModelBound),
        (None, None) => (None, Basis::Configured),
    };
    let tranche = options.tranche.max(1);
    let has_output = !matches!(operation, Operation::OpenAiEmbeddings | Operation::GeminiEmbed);
    let (output, basis) = match bound {
        _ if !has_output => (0, Basis::Input),
        Some(bound) if !asked.stream || bound <= tranche => (bound, whose),
        _ if asked.stream => (tranche, Basis::Tranche),
        _ => (all(options.whole), whose),
    };
    let estimate = Usage { input: asked.input.held(options.reference), output, ..Usage::default() };
    Size { estimate: estimate.countable(), basis, bound }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect;

    fn sized(body: &'static str, most: Option<u64>) -> (u64, Basis, Option<u64>) {
        let asked = dialect::read(Operation::OpenAiChat, "", false, Bytes::from_static(body.as_bytes()));
        let options = Options { tranche: 50, whole: 200, ..Options::default() };
        let Size { estimate, basis, bound } = size(Operation::OpenAiChat, &asked.unwrap(), most, &options);
        (estimate.output, basis, bound)
    }

    #[test]
    fn an_answer_that_comes_whole_is_held_for_whole() {
        assert_eq!(sized(r#"{"model":"m","max_tokens":9}"#, Some(70)), (9, Basis::ClientBound, Some(9)));
        assert_eq!(sized(r#"{"model":"m"}"#, Some(70)), (70, Basis::ModelBound, Some(70)));
        assert_eq!(sized(r#"{"model":"m"}"#, None), (200, Basis::Configured, None));
    }

    #[test]
    fn many_answers_are_held_for_as_many_whoever_names_the_bound() {
        assert_eq!(sized(r#"{"model":"m","n":4,"max_tokens":9}"#, None), (36, Basis::ClientBound, Some(36)));
        assert_eq!(sized(r#"{"model":"m","n":4}"#, Some(70)), (280, Basis::ModelBound, Some(280)));
        assert_eq!(sized(r#"{"model":"m","n":4}"#, None), (800, Basis::Configured, None));
    }

    #[test]
    fn a_stream_is_held_for_by_tranches_up_to_its_bound() {
        assert_eq!(sized(r#"{"model":"m","stream":true}"#, None), (50, Basis::Tranche, None));
        assert_eq!(
            sized(r#"{"model":"m","stream":true,"n":4}"#, Some(70)),
            (50, Basis::Tranche, Some(280)),
            "the bound is that of all answers"
        );
        let short = r#"{"model":"m","stream":true,"max_tokens":9}"#;
        assert_eq!(sized(short, Some(70)), (9, Basis::ClientBound, Some(9)));
    }

    #[test]
    fn what_has_no_output_is_held_for_by_its_input() {
        let body = Bytes::from_static(br#"{"model":"m","input":"hi"}"#);
        let asked = dialect::read(Operation::OpenAiEmbeddings, "", false, body).unwrap();
        let size = size(Operation::OpenAiEmbeddings, &asked, Some(9), &Options::default());
        assert_eq!((size.estimate.output, size.basis), (0, Basis::Input));
    }
}
