use proptest::prelude::*;

use super::*;

const MOST: usize = 1 << 20;

fn all(chunks: &[&[u8]]) -> Result<Vec<Event>, TooLong> {
    let mut parser = Parser::new(MOST);
    let mut events = Vec::new();
    for chunk in chunks {
        parser.push(chunk);
        while let Some(event) = parser.next()? {
            events.push(event);
        }
    }
    parser.end();
    while let Some(event) = parser.next()? {
        events.push(event);
    }
    Ok(events)
}

fn data(chunks: &[&[u8]]) -> Vec<String> {
    let text = |event: Event| String::from_utf8(event.data.to_vec()).unwrap();
    all(chunks).unwrap().into_iter().map(text).collect()
}

#[test]
fn every_line_end_of_the_format_is_understood() {
    for stream in
        [&b"data: a\n\ndata: b\n\n"[..], b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\r\rdata: b\r\r"]
    {
        assert_eq!(data(&[stream]), ["a", "b"], "{stream:?}");
    }
}

#[test]
fn data_of_several_lines_is_one_text_and_comments_are_none() {
    let stream = b": hello\n\n:ping\ndata: {\"a\":\ndata:1}\nid: 7\nretry: 1\n\nevent: x\n\ndata\n\n";
    assert_eq!(data(&[stream]), ["{\"a\":\n1}", ""]);
}

#[test]
fn an_event_keeps_its_name_and_its_bytes() {
    let stream = b"\xef\xbb\xbfevent: message_start\r\ndata: {}\r\n\r\nevent: ping\ndata:{}\n\n";
    let events = all(&[stream]).unwrap();
    assert_eq!(events[0].name.as_deref(), Some("message_start"));
    assert_eq!(events[0].raw.as_ref(), b"event: message_start\r\ndata: {}\r\n\r\n");
    assert_eq!(events[1].raw.as_ref(), b"event: ping\ndata:{}\n\n");
}

#[test]
fn a_line_end_between_two_chunks_is_one() {
    assert_eq!(data(&[b"data: a\r", b"\n\r", b"\ndata: b\r\n", b"\r\n"]), ["a", "b"]);
}

#[test]
fn the_last_event_needs_no_blank_line() {
    assert_eq!(data(&[b"data: a\n\ndata: [DONE]"]), ["a", "[DONE]"]);
    assert_eq!(data(&[b"data: a\r\n\r"]), ["a"]);
    assert!(data(&[b"\xef\xbb"]).is_empty());
}

#[test]
fn an_event_beyond_the_limit_is_refused_whole_or_not() {
    let mut parser = Parser::new(16);
    parser.push(b"data: 0123456789abcdef");
    assert_eq!(parser.next(), Err(TooLong(16)));
    let mut parser = Parser::new(16);
    parser.push(b"data: 0123456789abcdef\n\n");
    assert_eq!(parser.next(), Err(TooLong(16)));
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: ".to_owned()),
        Just("event: e\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just(": c\n".to_owned()),
        Just("\u{feff}".to_owned()),
        "[a-zäöü€😀:{}\" ]{0,12}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|two| &stream[two[0]..two[1]]).collect();
        prop_assert_eq!(all(&chunks), all(&[&stream]));
    }

    #[test]
    fn bytes_of_any_kind_are_taken_apart_and_none_is_lost_inside_an_event(
        stream in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let events = all(&[&stream]).unwrap();
        let kept: usize = events.iter().map(|event| event.raw.len()).sum();
        prop_assert!(kept <= stream.len() + 2);
    }
}
