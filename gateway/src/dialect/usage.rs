//! Usage as providers report it, brought into buckets that do not overlap.

use domain::Usage;
use serde_json::Value;

/// Beyond this a count is no count of tokens but a mistake.
const MOST: u64 = 1_000_000_000;

/// A report that cannot be believed: a count that is no whole number, or beyond all measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reported usage has no credible {0}")]
pub(super) struct Odd(&'static str);

/// A count; `None` where it is not there or null.
pub(super) fn count(report: &Value, name: &'static str) -> Result<Option<u64>, Odd> {
    match report.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().filter(|count| *count <= MOST).map(Some).ok_or(Odd(name)),
    }
}

/// A count that is nothing where it is not there.
fn or_none(report: &Value, name: &'static str) -> Result<u64, Odd> {
    Ok(count(report, name)?.unwrap_or_default())
}

/// A count without which a report is none.
fn needed(report: &Value, name: &'static str) -> Result<u64, Odd> {
    count(report, name)?.ok_or(Odd(name))
}

/// A part of a whole, which is no more than the whole.
fn part(details: Option<&Value>, name: &'static str, of: u64) -> Result<u64, Odd> {
    let part = details.map_or(Ok(0), |details| or_none(details, name))?;
    if part > of { Err(Odd(name)) } else { Ok(part) }
}

/// OpenAI, chat and responses: cached tokens are part of the input, reasoning is part of the output.
pub(super) fn openai(report: &Value, names: &OpenAi) -> Result<Usage, Odd> {
    let input = needed(report, names.input)?;
    let output = or_none(report, names.output)?;
    let details = report.get(names.input_details);
    let cache_read = part(details, "cached_tokens", input)?;
    let cache_write = part(details, "cache_write_tokens", input - cache_read)?;
    let reasoning = part(report.get(names.output_details), "reasoning_tokens", output)?;
    Ok(Usage {
        input: input - cache_read - cache_write,
        cache_read,
        cache_write,
        output: output - reasoning,
        reasoning,
        ..Usage::default()
    })
}

/// What OpenAI calls the counts in one of its shapes.
pub(super) struct OpenAi {
    input: &'static str,
    input_details: &'static str,
    output: &'static str,
    output_details: &'static str,
}

/// In chat completions and embeddings.
pub(super) const CHAT: OpenAi = OpenAi {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};

/// In responses.
pub(super) const RESPONSES: OpenAi = OpenAi {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
};

/// Anthropic: the input excludes what was read from a cache and written to one; writing is told apart by its duration where
/// the report says it. Thinking is part of the output and is not told apart.
pub(super) fn anthropic(report: &Value) -> Result<Usage, Odd> {
    let written = or_none(report, "cache_creation_input_tokens")?;
    let kinds = report.get("cache_creation").filter(|kinds| kinds.is_object());
    let (short, long) = match kinds {
        None => (written, 0),
        Some(kinds) => {
            let long = or_none(kinds, "ephemeral_1h_input_tokens")?;
            let short = or_none(kinds, "ephemeral_5m_input_tokens")?;
            // What is written and of no kind that is known is of the cheaper one.
            (short.max(written.saturating_sub(long)), long)
        }
    };
    Ok(Usage {
        input: needed(report, "input_tokens")?,
        cache_read: or_none(report, "cache_read_input_tokens")?,
        cache_write: short,
        cache_write_long: long,
        output: needed(report, "output_tokens")?,
        reasoning: 0,
    })
}

/// Gemini: the prompt includes what was cached; what tools put into the prompt and what was thought come on top.
pub(super) fn gemini(report: &Value) -> Result<Usage, Odd> {
    let prompt = or_none(report, "promptTokenCount")?;
    let cache_read = part(Some(report), "cachedContentTokenCount", prompt)?;
    Ok(Usage {
        input: prompt - cache_read + or_none(report, "toolUsePromptTokenCount")?,
        cache_read,
        output: or_none(report, "candidatesTokenCount")?,
        reasoning: or_none(report, "thoughtsTokenCount")?,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn openai_counts_cached_and_reasoning_tokens_once() {
        let report = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20},
        });
        let usage = openai(&report, &CHAT).unwrap();
        let expected = Usage {
            input: 30,
            cache_read: 60,
            cache_write: 10,
            output: 30,
            reasoning: 20,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        let report =
            json!({"input_tokens": 7, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 3}});
        let usage = openai(&report, &RESPONSES).unwrap();
        assert_eq!(usage, Usage { input: 7, reasoning: 3, ..Usage::default() });
    }

    #[test]
    fn anthropic_counts_what_it_cached_beside_the_input() {
        let report = json!({
            "input_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 12,
        });
        let expected = Usage {
            input: 5,
            cache_read: 1000,
            cache_write: 100,
            cache_write_long: 200,
            output: 12,
            reasoning: 0,
        };
        assert_eq!(anthropic(&report).unwrap(), expected);
        let older = json!({"input_tokens": 5, "cache_creation_input_tokens": 300, "output_tokens": 0});
        assert_eq!(anthropic(&older).unwrap(), Usage { input: 5, cache_write: 300, ..Usage::default() });
    }

    #[test]
    fn gemini_counts_thoughts_and_tools() {
        let report = json!({
            "promptTokenCount": 40, "cachedContentTokenCount": 10, "toolUsePromptTokenCount": 5,
            "candidatesTokenCount": 7, "thoughtsTokenCount": 90, "totalTokenCount": 142,
        });
        let expected = Usage { input: 35, cache_read: 10, output: 7, reasoning: 90, ..Usage::default() };
        assert_eq!(gemini(&report).unwrap(), expected);
    }

    #[test]
    fn zero_is_a_report_and_nonsense_is_none() {
        assert!(openai(&json!({"prompt_tokens": 0, "completion_tokens": 0}), &CHAT).unwrap().is_zero());
        for odd in [
            json!({"prompt_tokens": -1}),
            json!({"prompt_tokens": "12"}),
            json!({"prompt_tokens": 1_000_000_000_001_u64}),
            json!({"completion_tokens": 3}),
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}),
            json!([]),
        ] {
            assert!(openai(&odd, &CHAT).is_err(), "{odd}");
        }
    }
}
