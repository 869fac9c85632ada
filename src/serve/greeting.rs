//! The way in, for somebody who has just started it.

use std::path::Path;

use super::Demo;

/// What is printed when everything is ready.
pub(super) fn text(base: &str, token: &str, data_dir: &Path, demo: Demo, link: Option<&str>) -> String {
    let curl = format!("curl -sS -H 'Authorization: Bearer {token}'");
    let json = "-H 'Content-Type: application/json' -d";
    let posting = r#"{"postings":[{"from":"@world","to":"customers:you:credits","amount":"10","asset":"USD"}],"open_wallets":true}"#;
    let asset = r#"{"code":"USD","scale":9}"#;
    let first = match demo {
        Demo::Traffic => format!("{curl} '{base}/v1/wallets?prefix=customers:'"),
        Demo::Tenant | Demo::None => format!("{curl} {json} '{asset}' {base}/v1/assets"),
    };
    let link = link.map(|link| format!("{link}\n\n")).unwrap_or_default();
    format!(
        "Counterfoil is ready at {base}\n\n  documentation  {base}/docs\n  data           {}\n  tenant         demo\n  \
         token          {token}\n\nThree things to try:\n\n{first}\n\n{curl} {json} '{posting}' \
         {base}/v1/transactions\n\n{curl} {base}/v1/trial-balance\n\n{link}ctrl-C stops everything; the data stays.",
        data_dir.display()
    )
}
