//! What stands behind the `?` of an address.

use domain::catalogue::Dialect;
use domain::execution::Operation;
use percent_encoding::percent_decode_str;

/// The query of a client's request, without its credential: what passes to a provider of the same dialect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// Reads what stands behind the `?`. The client's key (`key`) is not kept, however its name is written.
    pub fn of(text: &str) -> Self {
        let is_key = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            percent_decode_str(name).decode_utf8_lossy().eq_ignore_ascii_case("key")
        };
        let pairs: Vec<_> = text.split('&').filter(|pair| !pair.is_empty() && !is_key(pair)).collect();
        Self(pairs.join("&"))
    }

    /// What of it passes to some provider in a call of this shape.
    pub(crate) fn passing(&self, operation: Operation) -> &str {
        if operation.dialect() == Dialect::Gemini { "" } else { &self.0 }
    }

    /// Puts it behind the address of a provider. Not where that is Gemini's: there it chooses the form of the answer (`alt`,
    /// `fields`), from which the usage is read, or is another credential.
    pub(crate) fn behind(&self, address: String, dialect: Dialect) -> String {
        if self.0.is_empty() || dialect == Dialect::Gemini {
            address
        } else {
            format!("{address}?{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_to_the_provider_and_never_the_clients_key() {
        let at = |text: &str, dialect| Query::of(text).behind("https://p.example/v1/x".to_owned(), dialect);
        assert_eq!(at("beta=true", Dialect::Anthropic), "https://p.example/v1/x?beta=true");
        assert_eq!(at("a=%26&b&c=d=e", Dialect::Openai), "https://p.example/v1/x?a=%26&b&c=d=e");
        for query in ["", "&", "key=cf_1", "key", "KEY=cf_1", "k%65y=cf_1", "&key=cf_1&", "%6B%65%79=cf_1"] {
            assert_eq!(at(query, Dialect::Openai), "https://p.example/v1/x", "{query}");
        }
        assert_eq!(
            at("key=cf_1&keys=2&beta=true", Dialect::Anthropic),
            "https://p.example/v1/x?keys=2&beta=true"
        );
        assert!(!format!("{:?}", Query::of("key=cf_1&a=b")).contains("cf_1"), "it does not show itself");
    }

    #[test]
    fn what_chooses_the_form_of_geminis_answers_stays_ours() {
        let address = "https://g.example/v1beta/models/m:streamGenerateContent?alt=sse";
        let asked = Query::of("alt=json&fields=candidates&access_token=x");
        assert_eq!(asked.behind(address.to_owned(), Dialect::Gemini), address);
    }
}
