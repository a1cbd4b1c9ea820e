use super::*;
use crate::{
    access::{RoleName, TopicTemplate},
    password::PasswordHash,
    users::store::Edit,
};

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";
const OTHER: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$BBBBBBBBBBBBBBBBBBBBBA";

struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Case {
    fn new(text: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        Self {
            _folder: folder,
            path,
        }
    }

    fn edit(&self, name: &str, edit: Edit) -> Result<Tally, StoreError> {
        let name = UserName::new(name).unwrap();
        change(&self.path, vec![UserEdit { name, edit }])
    }

    fn add(&self, name: &str, hash: &str, replace: bool) -> Result<Tally, StoreError> {
        let password = PasswordHash::parse(hash).unwrap();
        let edit = Edit::Add {
            password,
            superuser: Some(false),
            replace,
        };
        self.edit(name, edit)
    }

    fn remove(&self, name: &str) -> Result<Tally, StoreError> {
        self.edit(name, Edit::Remove)
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let users = file::load(&self.path, FileFormat::Auto).unwrap();
        users
            .list()
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    fn mode(&self) -> u32 {
        fs::metadata(&self.path).unwrap().mode() & 0o777
    }
}

#[test]
fn makes_a_private_file() {
    let case = Case::new(None);
    case.add("alice", HASH, false).unwrap();
    case.add("b.ob", HASH, false).unwrap();
    assert_eq!(case.names(), ["alice", "b.ob"]);
    assert_eq!(case.mode(), 0o600);
    assert!(case.text().starts_with("# Users of"));
    assert!(!case.text().contains("[users]"));
}

#[test]
fn keeps_what_it_was_not_asked_about() {
    let text = format!(
        "# ours\n\n[users.bob] # the builder\npassword = \"{HASH}\"\n\n\
         # she left, keep for the audit\n[users.carol]\npassword = \"{HASH}\"\n"
    );
    let case = Case::new(Some(&text));
    fs::set_permissions(&case.path, fs::Permissions::from_mode(0o640)).unwrap();

    case.add("alice", HASH, false).unwrap();
    assert!(case.text().starts_with(&text), "{}", case.text());
    assert_eq!(case.mode(), 0o640);

    case.remove("alice").unwrap();
    assert_eq!(case.text(), text);
    case.remove("bob").unwrap();
    case.remove("carol").unwrap();
    assert_eq!(case.text().trim_end(), "# ours");
}

#[test]
fn comments_alone_stay_above_the_first_user() {
    let case = Case::new(Some("# ours"));
    case.add("alice", HASH, false).unwrap();
    assert!(
        case.text().starts_with("# ours\n[users.alice]\n"),
        "{}",
        case.text()
    );
    assert_eq!(case.names(), ["alice"]);
}

#[test]
fn replaces_only_when_asked() {
    let case = Case::new(Some(&format!(
        "[users]\n# inline\nbob = {{ password = \"{HASH}\" }}\n"
    )));
    assert!(matches!(
        case.add("bob", OTHER, false),
        Err(StoreError::Exists(_))
    ));
    assert!(case.text().contains(HASH));

    case.add("bob", OTHER, true).unwrap();
    assert!(case.text().contains(OTHER) && !case.text().contains(HASH));
    assert!(case.text().contains("# inline"));
    assert_eq!(case.names(), ["bob"]);
}

#[test]
fn refuses_to_touch_what_it_cannot_read() {
    let text = "[users.alice]\npassword = 1\n";
    let case = Case::new(Some(text));
    assert!(matches!(
        case.add("bob", HASH, false),
        Err(StoreError::File(_))
    ));
    assert_eq!(case.text(), text);
}

#[test]
fn removing_nobody_is_an_error() {
    let case = Case::new(None);
    assert!(matches!(case.remove("nobody"), Err(StoreError::Missing(_))));
    assert!(!case.path.exists());
}

#[test]
fn a_symbolic_link_stays_one() {
    let case = Case::new(Some(""));
    let link = case.path.with_file_name("link.toml");
    std::os::unix::fs::symlink(&case.path, &link).unwrap();
    let case = Case {
        path: link.clone(),
        ..case
    };
    case.add("alice", HASH, false).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(case.names(), ["alice"]);
}

#[test]
fn edits_at_once_are_all_kept() {
    let case = Case::new(None);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let case = &case;
            scope.spawn(move || case.add(&format!("user{number}"), HASH, false).unwrap());
        }
    });
    assert_eq!(case.names().len(), 8);
}

#[test]
fn writes_grants_as_one_would() {
    let case = Case::new(None);
    case.add("alice", HASH, false).unwrap();
    let access = |topic, qos| Access {
        topic: TopicTemplate::new(topic).unwrap(),
        publish: true,
        subscribe: false,
        retain: true,
        qos,
    };
    let roles = vec![RoleName::new("operators").unwrap()];
    let grants = vec![access("news/#", 2), access("{username}/x", 1)];
    case.edit("alice", Edit::Grant(grants.clone(), roles))
        .unwrap();
    case.edit("alice", Edit::Disabled(true)).unwrap();
    let text = case.text();
    assert!(text.contains("roles = [\"operators\"]"), "{text}");
    assert!(text.contains("disabled = true"), "{text}");
    let written = "[{ topic = \"news/#\", publish = true }, { topic = \"{username}/x\", publish = true, qos = 1 }]";
    assert!(text.contains(written), "{text}");

    let topics = grants.into_iter().map(|grant| grant.topic).collect();
    case.edit("alice", Edit::Revoke(topics, Vec::new()))
        .unwrap();
    assert!(case.text().contains("grants = []"));
    let tally = case.edit("alice", Edit::Disabled(true)).unwrap();
    assert_eq!(tally.unchanged, 1);
}

#[test]
fn leaves_files_of_other_programs_alone() {
    let text = format!("bob:{HASH}\n");
    let case = Case::new(Some(&text));
    let refused = case.add("alice", HASH, false).unwrap_err();
    assert!(refused.to_string().contains("not in TOML"), "{refused}");
    assert_eq!(case.text(), text);
}
