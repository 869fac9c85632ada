use std::os::unix::fs::PermissionsExt as _;

use super::*;

const ONE: &str = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "2:HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("counterfoil-master-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("master-key")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn lines_give_versions_and_the_highest_wraps() {
    for text in [format!("# old\n{ONE}\n\n {TWO} \n"), format!("{TWO},{ONE}")] {
        let keys = parse(&text).unwrap();
        assert_eq!(keys.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(highest(&text).unwrap(), 2);
    }
}

#[test]
fn what_is_no_key_is_refused_without_being_repeated() {
    let zeros = format!("1:{}", STANDARD.encode([0; 32]));
    let twice = format!("{ONE}\n{ONE}");
    for bad in [
        "secret",
        "0:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "1:c2VjcmV0",
        "-1:",
        "1:secret",
        "x:secret",
        &zeros,
        &twice,
    ] {
        let said = parse(bad).unwrap_err();
        assert!(!said.contains("secret") && !said.contains("c2Vj") && !said.contains("AAEC"), "{said}");
    }
}

#[test]
fn a_source_is_a_file_a_variable_or_a_command() {
    assert_eq!(MasterSource::parse("file:/etc/key"), Some(MasterSource::File("/etc/key".into())));
    assert_eq!(MasterSource::parse("env:MASTER"), Some(MasterSource::Env("MASTER".into())));
    let command = "vault kv get -field=key a:b";
    assert_eq!(
        MasterSource::parse(&format!("command:{command}")),
        Some(MasterSource::Command(command.into()))
    );
    for bad in ["", "file:", "env:", "env:A=B", "http://host", "/etc/key", "command: "] {
        assert_eq!(MasterSource::parse(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn a_file_is_made_for_its_owner_alone_and_grows_by_versions() {
    let directory = Directory::new("grows");
    let source = MasterSource::File(directory.file());
    assert!(source.make_if_missing().await.unwrap());
    assert!(!source.make_if_missing().await.unwrap());
    assert_eq!(std::fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let first = MasterKeys::load(&source).await.unwrap();
    assert_eq!(source.add_version().await.unwrap(), Some(2));
    let second = MasterKeys::load(&source).await.unwrap();
    assert_eq!(second.versions().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(second.highest(), 2);
    assert_eq!(second.get(1).unwrap().bytes(), first.wrapping().bytes());
    assert_ne!(second.wrapping().bytes(), first.wrapping().bytes());
    assert_eq!(std::fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    let directory = Directory::new("exposed");
    std::fs::write(directory.file(), ONE).unwrap();
    std::fs::set_permissions(directory.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = MasterKeys::load(&MasterSource::File(directory.file())).await.unwrap_err().to_string();
    assert!(said.contains("chmod 600"), "{said}");
}

#[tokio::test]
async fn a_command_gives_keys_and_its_failure_is_told() {
    let keys = MasterKeys::load(&MasterSource::Command(format!("echo {ONE}; echo {TWO}"))).await.unwrap();
    assert_eq!(keys.highest(), 2);
    for bad in ["exit 3", "true", "echo nothing", "head -c 100000 /dev/zero"] {
        assert!(MasterKeys::load(&MasterSource::Command(bad.into())).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn many_that_start_at_once_end_up_with_one_key() {
    let directory = Directory::new("race");
    let source = MasterSource::File(directory.file());
    let all: Vec<_> = (0..8)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move {
                source.make_if_missing().await.unwrap();
                MasterKeys::load(&source).await.unwrap().wrapping().bytes().to_vec()
            })
        })
        .collect();
    let mut keys = Vec::new();
    for one in all {
        keys.push(one.await.unwrap());
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn debug_shows_no_key() {
    let keys = parse(ONE).unwrap();
    let highest = (1, Arc::clone(&keys[&1]));
    let keys = MasterKeys { source: MasterSource::Command("print-secret".into()), keys, highest };
    let said = format!("{keys:?}");
    assert!(!said.contains("secret") && !said.contains("AAEC") && !said.contains("[0, 1"), "{said}");
}
