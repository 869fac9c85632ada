//! The forms of texts: what a `format` of the description means, so that a program can make or check such a text without
//! asking the server. Each says what [`crate::field`] and the domain accept.

use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Schema};

/// What a text of some format looks like.
enum Form {
    /// It matches the pattern and has at most so many characters.
    Text(&'static str, Option<usize>),
    /// It has at most so many characters of any kind.
    Any(usize),
    /// It is one of these.
    Word(&'static [&'static str]),
}

use Form::{Any, Text, Word};

/// Every format that is our own. Patterns hold to what all dialects of regular expressions have in common.
const FORMS: &[(&str, Form)] = &[
    ("amount", Text(r"^-?[0-9]+(\.[0-9]{1,18})?$", None)),
    ("asset-code", Text(r"^[A-Z][A-Z0-9._-]{0,31}$", None)),
    (
        "base-address",
        Text(
            r"^https?://[!$%&()*+,.0-9;=A-Z\[\]_a-z~-][!$%&()*+,.0-9:;=A-Z\[\]_a-z~-]*(/[!$%&()*+,./0-9:;=@A-Z\[\]_a-z~-]*)?$",
            Some(2048),
        ),
    ),
    ("colour", Text(r"^#[0-9A-Fa-f]{6}$", None)),
    ("credential", Text(r"^[!-~]+$", Some(2048))),
    ("cursor", Text(r"^[A-Za-z0-9_-]+$", None)),
    ("description", Text(r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]+$", Some(2000))),
    ("dialect", Word(&["openai", "anthropic", "gemini"])),
    ("dimension", Word(&["application", "wallet", "user", "provider", "model", "outcome"])),
    ("dimensions", Text(DIMENSIONS, None)),
    (
        "domain-name",
        Text(r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", Some(253)),
    ),
    ("enforcement", Word(&["monitor", "warn", "hard"])),
    ("environment", Word(&["live", "test"])),
    ("execution-outcome", Word(&["completed", "failed", "cancelled", "expired"])),
    ("execution-status", Word(&["running", "completed", "failed", "cancelled", "expired"])),
    ("governed", Word(&["level", "user", "wallet"])),
    ("granularity", Word(&["hour", "day", "total"])),
    ("idempotency-key", Text(r"^[!-~]{1,255}$", None)),
    ("label", Text(NOT_BLANK, Some(120))),
    ("level-name", Text(SEGMENT, None)),
    ("locale", Text(r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", Some(35))),
    (
        "mail-address",
        Text(
            r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
            Some(254),
        ),
    ),
    ("member-role", Word(&["owner", "admin", "member", "viewer", "auditor"])),
    ("model-name", Text(r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$", None)),
    ("network", Text(r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", Some(43))),
    ("policy-mode", Word(&["lifetime", "monthly"])),
    ("policy-rollover", Word(&["none", "capped", "full"])),
    ("position", Text(r"^p[0-9]{1,5}:[0-9]{1,18}$", None)),
    ("provider-name", Text(SEGMENT, None)),
    ("reason", Text(NOT_BLANK, Some(500))),
    ("reference", Text(PRINTABLE, Some(255))),
    ("scope", Word(&["read", "audit", "transact", "administer", "execute"])),
    ("secret", Any(1024)),
    ("slug", Text(r"^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$", None)),
    ("tenant-name", Text(PRINTABLE, Some(200))),
    ("transaction-status", Word(&["posted", "pending", "settled", "released", "expired", "reversed"])),
    (
        "user-ref",
        Text(
            r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$",
            Some(128),
        ),
    ),
    ("wallet-path", Text(WALLET_PATH, Some(255))),
    ("wallet-status", Word(&["open", "frozen", "closed"])),
    (
        "web-address",
        Text(
            r"^https?://[!$%&()*+,.0-9;=A-Z\[\]_a-z~-][!$%&()*+,.0-9:;=A-Z\[\]_a-z~-]*([/?#][!#$%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]*)?$",
            Some(2048),
        ),
    ),
    ("zone-name", Text(r"^[A-Za-z0-9/_+-]{1,64}$", None)),
];

/// One part of a path, and what is named like one: up to 64 characters, and neither `.` nor `..`.
const SEGMENT: &str =
    r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})$";
/// Such parts.
const WALLET_PATH: &str = r"^@?([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})(:([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62}))*$";
/// By what calls can be told apart, joined by commas.
const DIMENSIONS: &str = r"^(application|wallet|user|provider|model|outcome)(,(application|wallet|user|provider|model|outcome)){0,5}$";

/// No control characters, and not nothing.
const PRINTABLE: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";
/// The same, and not spaces alone.
const NOT_BLANK: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

/// Says of every text whose format is ours what it looks like.
pub(super) fn explain(description: &mut OpenApi) {
    if let Some(components) = &mut description.components {
        components.schemas.values_mut().for_each(visit);
    }
}

/// The same for the parameters of an operation.
pub(super) fn explain_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            explain_parameter(parameter);
        }
    }
}

fn explain_parameter(parameter: &mut Parameter) {
    let Some(schema) = &mut parameter.schema else { return };
    if let (RefOr::T(Schema::Object(text)), "Idempotency-Key") = (&mut *schema, parameter.name.as_str()) {
        text.format = Some(SchemaFormat::Custom("idempotency-key".to_owned()));
    }
    visit(schema);
}

/// Looks for texts in a schema, however deep.
fn visit(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            shape(object);
            object.properties.values_mut().for_each(visit);
            if let Some(AdditionalProperties::RefOr(of)) = object.additional_properties.as_deref_mut() {
                visit(of);
            }
            name_features(object);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                visit(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(visit),
        Schema::AllOf(all) => all.items.iter_mut().for_each(visit),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(visit),
        _ => {}
    }
}

/// Says what the names of features look like: of an object whose fields are all yes or no.
fn name_features(object: &mut utoipa::openapi::Object) {
    let Some(AdditionalProperties::RefOr(RefOr::T(Schema::Object(of)))) =
        object.additional_properties.as_deref()
    else {
        return;
    };
    if of.schema_type == SchemaType::Type(Type::Boolean)
        && let Some(Schema::Object(names)) = object.property_names.as_deref_mut()
    {
        names.pattern = Some(SEGMENT.to_owned());
    }
}

fn shape(object: &mut utoipa::openapi::Object) {
    let Some(SchemaFormat::Custom(name)) = &object.format else { return };
    let Some((_, form)) = FORMS.iter().find(|(known, _)| known == name) else { return };
    match form {
        Text(pattern, longest) => {
            object.pattern = Some((*pattern).to_owned());
            object.max_length = *longest;
        }
        Any(longest) => object.max_length = Some(*longest),
        Word(words) => {
            let nullable = serde_json::to_value(&object.schema_type)
                .is_ok_and(|kind| kind.as_array().is_some_and(|kinds| kinds.contains(&"null".into())));
            let mut values: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
            values.extend(nullable.then_some(Value::Null));
            object.enum_values = Some(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        Amount, AssetCode, Colour, Description, DomainName, Label, LevelName, ModelName, Network,
        ProviderName, Reason, Reference, Role, Slug, TenantName, UserRef, WalletPath, WebAddress, ZoneName,
        execution::ExecutionStatus,
    };

    use super::*;
    use crate::field::{BaseAddress, Checked, Credential, ModeWord, RolloverWord};
    use crate::person::{Email, Locale};
    use crate::v1::analytics::Dimensions;

    fn pattern(format: &str) -> &'static str {
        match FORMS.iter().find(|(known, _)| *known == format).unwrap().1 {
            Text(pattern, _) => pattern,
            _ => panic!("{format} has no pattern"),
        }
    }

    fn assert_agree<T: Checked>(format: &str, texts: &[&str]) {
        let pattern = regex::Regex::new(pattern(format)).unwrap();
        for text in texts {
            assert_eq!(T::check(text).is_ok(), pattern.is_match(text), "{format}: {text:?}");
        }
    }

    #[test]
    fn a_pattern_takes_what_the_server_takes() {
        assert_agree::<Amount>(
            "amount",
            &["1", "-1.50", "00", ".5", "1.", "+1", "1e3", "", "-", "1.0000000000000000001"],
        );
        assert_agree::<AssetCode>("asset-code", &["USD", "A.B-C_1", "usd", "1A", "", "A b"]);
        assert_agree::<Colour>("colour", &["#00aAff", "#00aaf", "00aaff", "#00aafg"]);
        assert_agree::<Slug>("slug", &["acme", "a1", "a", "-a", "a-", "Acme", "a_b"]);
        assert_agree::<WalletPath>(
            "wallet-path",
            &[
                "a", "@a:b", "a:", ":a", "@", "a b", "a@b", "@@a", "\u{fc}", "a\n", ".", "..", "...", ".a",
                "..a", "a:..", "..:a", "a:...b",
            ],
        );
        assert_agree::<DomainName>(
            "domain-name",
            &["a.b", "localhost", "A.b", "-a.b", "a.b.", "1.2", "x.y1"],
        );
        assert_agree::<WebAddress>(
            "web-address",
            &[
                "https://a",
                "http://a:1/b?c#d",
                "https://",
                "https:///x",
                "https://u@a",
                "https://a/@b",
                "ftp://a",
                "https://a b",
            ],
        );
        assert_agree::<BaseAddress>(
            "base-address",
            &[
                "https://a",
                "http://a:1/b/",
                "https://a/@b",
                "https://a?b",
                "https://a/b#c",
                "https://",
                "ftp://a",
            ],
        );
        assert_agree::<Email>(
            "mail-address",
            &["a@b", "A.b+c@x-y.org", "a@", "@b", "a b@c", ".a@b", "a@-b", "a@b..c", "\u{fc}@b"],
        );
        assert_agree::<Locale>("locale", &["en", "de-AT", "e", "en_GB", "en-", "12"]);
        let long = [
            "a".repeat(64),
            "a".repeat(65),
            "..".to_owned() + &"a".repeat(62),
            "..".to_owned() + &"a".repeat(63),
        ];
        let mut parts = vec!["a", "A.b-c_1", "", "a b", "a/b", "a:b", "\u{fc}", ".", "..", "...", ".a"];
        parts.extend(long.iter().map(String::as_str));
        assert_agree::<LevelName>("level-name", &parts);
        assert_agree::<ProviderName>("provider-name", &parts);
        assert_agree::<ModelName>(
            "model-name",
            &["gpt-5", "org/m:free", "a@1+b", "-a", "", "a b", "/a", "\u{fc}"],
        );
        assert_agree::<UserRef>("user-ref", &["a", "a b", " a", "a ", "", "a\nb", "\u{fc}", "\u{85}"]);
        assert_agree::<ZoneName>("zone-name", &["UTC", "Europe/Berlin", "Etc/GMT+1", "", "a b", "a.b"]);
        assert_agree::<Credential>("credential", &["sk-1", "", "a b", "\u{fc}", "a\n"]);
        assert_agree::<Dimensions>(
            "dimensions",
            &["wallet", "wallet,model", "", "wallet,", ",wallet", "wallets"],
        );
        assert_agree::<Network>("network", &["192.0.2.0/24", "::1", "x", "", "192.0.2.0/"]);
        let printed = ["a", " a ", "", " ", "\u{a0}", "a\nb", "a\0", "\u{85}", "\u{fc}"];
        assert_agree::<Label>("label", &printed);
        assert_agree::<Reason>("reason", &printed);
        assert_agree::<Reference>("reference", &printed);
        assert_agree::<TenantName>("tenant-name", &printed);
        assert_agree::<Description>("description", &printed);
    }

    #[test]
    fn the_words_of_a_format_are_those_that_are_known() {
        for (format, form) in FORMS {
            let Word(words) = form else { continue };
            for word in *words {
                let known = match *format {
                    "dialect" => domain::catalogue::Dialect::check(word).is_ok(),
                    "dimension" => projections::Dimension::check(word).is_ok(),
                    "enforcement" => domain::catalogue::Enforcement::check(word).is_ok(),
                    "environment" => domain::application::Environment::check(word).is_ok(),
                    "execution-outcome" | "execution-status" => ExecutionStatus::check(word).is_ok(),
                    "governed" => matches!(*word, "level" | "user" | "wallet"),
                    "granularity" => projections::Granularity::check(word).is_ok(),
                    "member-role" => Role::check(word).is_ok(),
                    "policy-mode" => ModeWord::check(word).is_ok(),
                    "policy-rollover" => RolloverWord::check(word).is_ok(),
                    "scope" => domain::application::Scope::check(word).is_ok(),
                    "transaction-status" => domain::transaction::TransactionStatus::check(word).is_ok(),
                    "wallet-status" => domain::wallet::WalletStatus::check(word).is_ok(),
                    other => panic!("{other}"),
                };
                assert!(known, "{format}: {word}");
            }
        }
    }

    #[test]
    fn every_format_of_the_description_is_known() {
        let text = serde_json::to_string(&crate::openapi()).unwrap();
        let standard = ["date-time", "uuid", "int32", "int64"];
        for part in text.split("\"format\":\"").skip(1) {
            let (format, _) = part.split_once('"').unwrap();
            let ours = FORMS.iter().any(|(known, _)| *known == format);
            assert!(ours || standard.contains(&format), "{format}");
        }
    }
}
