//! Rust source as tokens: what is code and what is a string or a comment, and where a function ends.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::tree::File;

/// One token, in the order of the source.
pub struct Token {
    pub line: usize,
    pub text: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Word,
    Sign,
    Literal,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    /// Line of the `fn` keyword.
    pub line: usize,
    /// Lines from the `fn` keyword to the closing brace, both included.
    pub length: usize,
    /// Whether an attribute such as `#[test]` or `#[tokio::test]` makes it a test.
    pub is_test: bool,
    pub body: Group,
    /// The words of its attributes.
    pub attributes: Vec<String>,
}

/// Lexes a file. A file that is not Rust is an error of the compiler before it is one of a rule.
pub fn lex(file: &File) -> TokenStream {
    file.text.parse().unwrap_or_else(|error| panic!("{} is not Rust: {error}", file.path))
}

/// All tokens outside doc comments, groups flattened: their opening delimiters are kept as signs.
pub fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    flatten_into(stream, &mut tokens);
    tokens
}

fn flatten_into(stream: TokenStream, into: &mut Vec<Token>) {
    let mut after_hash = false;
    for tree in stream {
        let line = tree.span().start().line;
        let was_after_hash = after_hash;
        after_hash = false;
        match tree {
            TokenTree::Group(group) => {
                if was_after_hash && words(group.stream()).first().is_some_and(|word| word == "doc") {
                    continue;
                }
                let opening = match group.delimiter() {
                    Delimiter::Parenthesis => "(",
                    Delimiter::Brace => "{",
                    Delimiter::Bracket => "[",
                    Delimiter::None => "",
                };
                into.push(Token { line, text: opening.to_owned(), kind: Kind::Sign });
                flatten_into(group.stream(), into);
            }
            TokenTree::Ident(ident) => into.push(Token { line, text: ident.to_string(), kind: Kind::Word }),
            TokenTree::Literal(literal) => {
                into.push(Token { line, text: literal.to_string(), kind: Kind::Literal });
            }
            TokenTree::Punct(sign) => {
                after_hash = sign.as_char() == '#' || (was_after_hash && sign.as_char() == '!');
                into.push(Token { line, text: sign.to_string(), kind: Kind::Sign });
            }
        }
    }
}

/// The words of a stream and of the groups in it.
pub fn words(stream: TokenStream) -> Vec<String> {
    stream
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(ident) => vec![ident.to_string()],
            TokenTree::Group(group) => words(group.stream()),
            _ => Vec::new(),
        })
        .collect()
}

/// The attributes of a stream: line and words of each.
pub fn attributes(stream: TokenStream) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut after_hash = false;
    for tree in stream {
        match tree {
            TokenTree::Punct(sign) => {
                after_hash = sign.as_char() == '#' || (after_hash && sign.as_char() == '!');
                continue;
            }
            TokenTree::Group(group) if after_hash && group.delimiter() == Delimiter::Bracket => {
                found.push((group.span_open().start().line, words(group.stream())));
            }
            TokenTree::Group(group) => found.extend(attributes(group.stream())),
            _ => {}
        }
        after_hash = false;
    }
    found
}

/// What a walk over the items of one level has seen since the last item ended.
#[derive(Default)]
struct Pending {
    attributes: Vec<Vec<String>>,
    function: Option<(String, usize)>,
    after_fn: Option<usize>,
    after_hash: bool,
}

impl Pending {
    fn has_attribute(&self, is: impl Fn(&[String]) -> bool) -> bool {
        self.attributes.iter().any(|attribute| is(attribute))
    }

    fn is_test(&self) -> bool {
        self.has_attribute(|words| {
            words.first().is_some_and(|word| word != "cfg") && words.iter().take(2).any(|word| word == "test")
        })
    }

    fn is_test_only(&self) -> bool {
        self.has_attribute(|words| words.len() == 2 && words[0] == "cfg" && words[1] == "test")
    }
}

/// Everything a file has to say about its functions.
#[derive(Default)]
pub struct Outline {
    pub functions: Vec<Function>,
    /// Lines taken by `#[cfg(test)]` items with a body.
    pub test_lines: usize,
}

/// Finds the functions of a file, those in `#[cfg(test)]` items included only when `with_tests` is set.
pub fn outline(stream: TokenStream, with_tests: bool) -> Outline {
    let mut outline = Outline::default();
    walk(stream, with_tests, &mut outline);
    outline
}

fn walk(stream: TokenStream, with_tests: bool, outline: &mut Outline) {
    let mut pending = Pending::default();
    for tree in stream {
        let line = tree.span().start().line;
        let after_fn = pending.after_fn.take();
        match tree {
            TokenTree::Ident(ident) if ident == "fn" => pending.after_fn = Some(line),
            TokenTree::Ident(ident) => {
                if let Some(start) = after_fn {
                    pending.function = Some((ident.to_string(), start));
                }
            }
            TokenTree::Punct(sign) => match sign.as_char() {
                '#' => pending.after_hash = true,
                '!' if pending.after_hash => {}
                ';' => pending = Pending::default(),
                _ => pending.after_hash = false,
            },
            TokenTree::Group(group) => {
                if pending.after_hash && group.delimiter() == Delimiter::Bracket {
                    pending.attributes.push(words(group.stream()));
                    pending.after_hash = false;
                } else if group.delimiter() == Delimiter::Brace {
                    close(&group, line, &pending, with_tests, outline);
                    pending = Pending::default();
                } else {
                    walk(group.stream(), with_tests, outline);
                }
            }
            TokenTree::Literal(_) => {}
        }
    }
}

/// A brace group ends an item: a function, or something that may hold functions.
fn close(group: &Group, line: usize, pending: &Pending, with_tests: bool, outline: &mut Outline) {
    let last = group.span_close().end().line;
    if pending.is_test_only() {
        outline.test_lines += last - line + 1;
        if !with_tests {
            return;
        }
    }
    if let Some((name, start)) = pending.function.clone() {
        outline.functions.push(Function {
            name,
            line: start,
            length: last - start + 1,
            is_test: pending.is_test(),
            body: group.clone(),
            attributes: pending.attributes.concat(),
        });
    }
    walk(group.stream(), with_tests, outline);
}

#[test]
fn functions_are_found_with_their_lengths() {
    let file = File::made_up(
        "a.rs",
        "impl A {\n    /// Doc.\n    pub fn one(f: fn(u8) -> u8) -> [u8; 2] {\n        f(1);\n    }\n}\n\
         trait T { fn none(&self); }\n#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn two() {}\n}\n",
    );
    let found = outline(lex(&file), true);
    let seen: Vec<_> =
        found.functions.iter().map(|f| (f.name.as_str(), f.line, f.length, f.is_test)).collect();
    assert_eq!(seen, [("one", 3, 3, false), ("two", 11, 1, true)]);
    assert_eq!(found.test_lines, 4);
    assert_eq!(outline(lex(&file), false).functions.len(), 1);
}

#[test]
fn doc_comments_are_not_code() {
    let file = File::made_up("a.rs", "//! f64\n/// f64\n#[must_use]\nfn a() {}\n");
    let words: Vec<_> =
        flatten(lex(&file)).into_iter().filter(|t| t.kind == Kind::Word).map(|t| t.text).collect();
    assert_eq!(words, ["must_use", "fn", "a"]);
}
