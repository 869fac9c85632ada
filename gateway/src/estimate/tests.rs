use serde_json::{Value, json};

use super::*;

/// What a message with this part has in it.
fn with(part: &Value) -> Input {
    read(json!({"messages": [{"role": "user", "content": [part]}]}).to_string().as_bytes())
}

/// As many bytes of base64.
fn base64(bytes: usize) -> String {
    "A".repeat(bytes)
}

#[test]
fn text_is_held_with_a_margin_and_billed_without() {
    assert_eq!(read(b"").held(9), 16);
    let input = read(&[b' '; 4_000]);
    assert_eq!((input.held(9), input.billed()), (1_000 + 125 + 16, 1_000), "what is no JSON is all text");
    let input = read(format!("{{ \"a\" : [ \"{}\", 7 ] }}", "b".repeat(3_999)).as_bytes());
    assert_eq!(input.billed(), 1_000 + 1, "the texts and the numbers, without the signs between them");
    assert!(input.held(9) > 1_000 + 125 + 16);
    assert_eq!((output(0), output(5)), (0, 2));
}

#[test]
fn a_picture_counts_as_one_whatever_its_length_and_wherever_it_stands() {
    for bytes in [100, 1 << 20] {
        let data = base64(bytes);
        let address = format!("data:image/png;base64,{data}");
        let parts = [
            json!({"type": "image_url", "image_url": {"url": address}}),
            json!({"type": "input_image", "image_url": address}),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
            json!({"source": {"data": data, "type": "base64", "media_type": "image/png"}, "type": "image"}),
            json!({"inlineData": {"data": data, "mimeType": "image/png"}}),
            json!({"inline_data": {"mime_type": "image/png", "data": data}}),
            json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}),
            json!({"type": "input_image", "image_url": "https://a.example/b.png"}),
            json!({"type": "input_image", "file_id": "file-1"}),
            json!({"source": {"type": "url", "url": "https://a.example/b.png"}, "type": "image"}),
            json!({"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b"}}),
        ];
        for part in parts {
            let input = with(&part);
            let name = part.to_string().chars().take(80).collect::<String>();
            assert_eq!((input.pictures, input.files, input.references), (1, 0, 0), "{name}");
            assert!((PICTURE..PICTURE + 100).contains(&input.held(1 << 20)), "{name}: {input:?}");
        }
    }
}

#[test]
fn a_document_or_a_sound_weighs_more_than_a_picture_and_by_its_length() {
    let data = base64(1 << 20);
    let parts = [
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}),
        json!({"type": "file", "file": {"file_data": format!("data:application/pdf;base64,{data}")}}),
        json!({"type": "input_file", "file_data": format!("data:application/pdf;base64,{data}")}),
        json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}),
        json!({"inlineData": {"mimeType": "audio/mp3", "data": data}}),
    ];
    for part in parts {
        let input = with(&part);
        assert_eq!((input.pictures, input.files), (0, 1), "{input:?}");
        assert!((65_536..66_000).contains(&input.held(0)), "{}", input.held(0));
        assert!(input.billed() < PICTURE + 100, "nobody pays for a prudent guess: {}", input.billed());
    }
}

#[test]
fn what_is_kept_elsewhere_counts_as_what_is_configured_for_it() {
    let parts = [
        json!({"type": "file", "file": {"file_id": "file-1"}}),
        json!({"type": "input_file", "file_url": "https://a.example/b.pdf"}),
        json!({"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}}),
        json!({"type": "document", "source": {"type": "file", "file_id": "file-1"}}),
        json!({"fileData": {"mimeType": "application/pdf", "fileUri": "gs://a/b"}}),
    ];
    for part in parts {
        let input = with(&part);
        assert_eq!((input.pictures, input.files, input.references), (0, 0, 1), "{part}");
        assert_eq!(input.held(5_000) - input.held(0), 5_000);
        assert!(input.billed() < 100);
    }
}

#[test]
fn a_text_is_a_text_even_if_it_looks_like_an_attachment() {
    let hex = "0f".repeat(1 << 19);
    let parts = [
        json!({"type": "text", "text": hex}),
        json!({"type": "text", "text": format!("data:image/png;base64,{hex}")}),
        json!({"data": hex}),
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": hex}}),
        json!({"type": "tool_use", "input": {"mimeType": "image/png", "data": hex}}),
        json!({"functionResponse": {"response": {"mimeType": "image/png", "data": hex, "file_id": "a"}}}),
        json!({"media_type": "image/png", "source": {"data": hex}}),
    ];
    for part in parts {
        let input = with(&part);
        let kind = part.to_string().chars().take(60).collect::<String>();
        assert_eq!((input.pictures, input.files, input.references), (0, 0, 0), "{kind}");
        assert!(input.held(0) > 1 << 18 && input.billed() >= 1 << 18, "{kind}: {input:?}");
    }
    let twice = format!("{{\"data\":\"{hex}\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"}}");
    assert!(read(twice.as_bytes()).held(0) > 1 << 18, "what is there twice is not got for one");
}

#[test]
fn depth_is_bounded_and_loses_nothing() {
    let deep = format!("{}\"{}\"{}", "[".repeat(100_000), "x".repeat(4_000), "]".repeat(100_000));
    assert!(read(deep.as_bytes()).billed() >= 1_000);
    assert!(read(deep.as_bytes()).held(0) >= 50_000);
}

#[test]
fn a_picture_in_an_answer_does_not_count_by_its_bytes() {
    assert_eq!(output(attachment(&base64(1 << 20))), PICTURE);
    assert_eq!(attachment("a word"), 6);
    assert_eq!(text(&base64(1 << 20)), 1 << 20, "where no attachment stands it is text");
}
