//! What the provider of the benchmark says: always the same, in `OpenAI`'s shape.

/// The tokens of what is asked, as the provider counts them.
pub const INPUT: u64 = 1_000;
/// The tokens of an answer.
pub const OUTPUT: u64 = 128;
/// The events of a streamed answer that carry its words.
pub const PARTS: usize = 32;
/// What every answer reports.
pub const USAGE: &str = r#""usage":{"prompt_tokens":1000,"completion_tokens":128,"total_tokens":1128}"#;
/// The event that ends a stream.
pub const DONE: &str = "data: [DONE]\n\n";
/// The words of an event.
const WORDS: &str = " four tokens of text";
const ID: &str = r#""id":"chatcmpl-1","created":1760000000,"model":"benchmark","system_fingerprint":"fp""#;

/// The model that thinks for so long before it answers.
pub fn model(think_ms: u64) -> String {
    format!("think-{think_ms}")
}

/// For how long a model thinks, in milliseconds; `None` for one that is not known.
pub fn think_ms(model: &str) -> Option<u64> {
    model.strip_prefix("think-")?.parse().ok()
}

/// An answer that comes whole.
pub fn whole() -> String {
    let words = WORDS.repeat(PARTS);
    format!(
        r#"{{{ID},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}"}},"finish_reason":"stop"}}],{USAGE}}}"#
    )
}

/// The events of an answer that comes as a stream.
pub fn events() -> Vec<String> {
    let event = |choices: &str, usage: &str| {
        format!("data: {{{ID},\"object\":\"chat.completion.chunk\",\"choices\":[{choices}],{usage}}}\n\n")
    };
    let choice = |delta: &str, reason: &str| {
        event(&format!(r#"{{"index":0,"delta":{{{delta}}},"finish_reason":{reason}}}"#), r#""usage":null"#)
    };
    let mut events = vec![choice(r#""role":"assistant","content":"""#, "null")];
    events.extend((0..PARTS).map(|_| choice(&format!(r#""content":"{WORDS}""#), "null")));
    events.push(choice("", r#""stop""#));
    events.push(event("", USAGE));
    events.push(DONE.to_owned());
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_said_is_json_and_reports_the_tokens() {
        let usage = |text: &str| {
            let said: serde_json::Value = serde_json::from_str(text).unwrap();
            (said["usage"]["prompt_tokens"].as_u64(), said["usage"]["completion_tokens"].as_u64())
        };
        assert_eq!(usage(&whole()), (Some(INPUT), Some(OUTPUT)));
        let events = events();
        let (done, rest) = events.split_last().unwrap();
        assert_eq!(done, DONE);
        let data = |event: &String| event.strip_prefix("data: ").unwrap().trim().to_owned();
        assert_eq!(usage(&data(rest.last().unwrap())), (Some(INPUT), Some(OUTPUT)));
        assert!(rest[..rest.len() - 1].iter().all(|event| usage(&data(event)) == (None, None)));
        assert_eq!(think_ms(&model(20)), Some(20));
    }
}
