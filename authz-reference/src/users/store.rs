//! What all user bases that store users have in common for those who administer them: [`UserStore`].
//!
//! What an edit means is decided here, once; a store only has to read one user, write one user, and do both all or
//! nothing.

use std::fmt;

use thiserror::Error;

use super::{Account, User, file::UsersFileError};
use crate::{
    access::{Access, RoleName, TopicTemplate},
    identity::UserName,
    password::PasswordHash,
};

/// A change to one user.
#[derive(Debug, Clone)]
pub struct UserEdit {
    /// Whom it is about.
    pub name: UserName,
    /// What happens.
    pub edit: Edit,
}

/// What happens to a user.
#[derive(Debug, Clone)]
pub enum Edit {
    /// They are added.
    Add {
        /// What their password must verify against.
        password: PasswordHash,
        /// Whether every action is allowed. `None` leaves it as it is, or is no.
        superuser: Option<bool>,
        /// Whether somebody of that name gets this password instead of being an error.
        replace: bool,
    },
    /// They get another password.
    Password(PasswordHash),
    /// They are removed.
    Remove,
    /// They may not log in for now, or may again.
    Disabled(bool),
    /// They get grants (one for the same topic is replaced) and roles.
    Grant(Vec<Access>, Vec<RoleName>),
    /// They lose the grants for these topics, and roles.
    Revoke(Vec<TopicTemplate>, Vec<RoleName>),
}

/// What became of edits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Users who were not there before.
    pub added: usize,
    /// Users who are different now.
    pub changed: usize,
    /// Users who are not there any more.
    pub removed: usize,
    /// Users who already were what they should be. They are not written, so their sessions go on.
    pub unchanged: usize,
}

/// Why nothing was changed, or nothing can be read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is such a user, and replacing them was not asked for.
    #[error("the user `{0}` exists already (`--replace` gives them the new password)")]
    Exists(UserName),
    /// There is no such user.
    #[error("there is no user `{0}`")]
    Missing(UserName),
    /// They do not have what is to be revoked.
    #[error("the user `{0}` has no {1} `{2}`")]
    NotGranted(UserName, &'static str, String),
    /// The users file cannot be used.
    #[error(transparent)]
    File(#[from] UsersFileError),
    /// The users file cannot be changed.
    #[error(transparent)]
    Edit(#[from] super::edit::EditError),
    /// The database cannot be used. Holds no secret.
    #[error("{store}: {problem}")]
    Database {
        /// Which one.
        store: String,
        /// What is wrong.
        problem: String,
    },
}

/// A user base that stores users, for those who administer it.
#[tonic::async_trait]
pub trait UserStore: Send + Sync + fmt::Debug {
    /// Everybody, in the order of their names.
    ///
    /// # Errors
    /// If the store can't be read.
    async fn list(&self) -> Result<Vec<(UserName, User)>, StoreError>;

    /// One of them; `None` is nobody.
    ///
    /// # Errors
    /// If the store can't be read, or what it has makes no user.
    async fn find(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let mut users = self.list().await?.into_iter();
        Ok(users
            .find(|(listed, _)| listed == name)
            .map(|(_, user)| user))
    }

    /// How many there are.
    ///
    /// # Errors
    /// If the store can't be read.
    async fn count(&self) -> Result<usize, StoreError> {
        Ok(self.list().await?.len())
    }

    /// Makes all changes, in their order, or none.
    ///
    /// # Errors
    /// If one of them is not possible, or the store can't be read or written.
    async fn change(&self, edits: Vec<UserEdit>) -> Result<Tally, StoreError>;
}

impl UserEdit {
    /// Whether it makes no difference what the user was before.
    pub(super) fn overwrites(&self) -> bool {
        matches!(self.edit, Edit::Remove | Edit::Add { replace: true, .. })
    }

    /// What becomes of a user of whom nobody can read more than `known`, if the edit [overwrites](Self::overwrites)
    /// them.
    pub(super) fn overwrite(self, known: Account) -> Option<User> {
        match self.edit {
            Edit::Add {
                password,
                superuser,
                ..
            } => Some(User {
                password,
                account: Account {
                    superuser: superuser.unwrap_or(known.superuser),
                    ..known
                },
            }),
            _ => None,
        }
    }

    /// What becomes of `before`; `None` is nobody.
    pub(super) fn apply(self, before: Option<&User>) -> Result<Option<User>, StoreError> {
        let Self { name, edit } = self;
        let known = || {
            before
                .cloned()
                .ok_or_else(|| StoreError::Missing(name.clone()))
        };
        let after = match edit {
            Edit::Add { replace: false, .. } if before.is_some() => {
                return Err(StoreError::Exists(name));
            }
            Edit::Add {
                password,
                superuser,
                ..
            } => {
                let mut account = before.map(|user| user.account.clone()).unwrap_or_default();
                account.superuser = superuser.unwrap_or(account.superuser);
                User { password, account }
            }
            Edit::Remove => {
                known()?;
                return Ok(None);
            }
            Edit::Password(password) => User {
                password,
                ..known()?
            },
            Edit::Disabled(disabled) => {
                let mut user = known()?;
                user.account.disabled = disabled;
                user
            }
            Edit::Grant(grants, roles) => {
                let mut user = known()?;
                for grant in grants {
                    user.account.grants.retain(|had| had.topic != grant.topic);
                    user.account.grants.push(grant);
                }
                for role in roles {
                    if !user.account.roles.contains(&role) {
                        user.account.roles.push(role);
                    }
                }
                user
            }
            Edit::Revoke(topics, roles) => {
                let mut user = known()?;
                let missing = |what, which: &str| {
                    Err(StoreError::NotGranted(name.clone(), what, which.to_owned()))
                };
                for topic in topics {
                    let had = user.account.grants.len();
                    user.account.grants.retain(|grant| grant.topic != topic);
                    if user.account.grants.len() == had {
                        return missing("grant for", topic.as_str());
                    }
                }
                for role in roles {
                    let had = user.account.roles.len();
                    user.account.roles.retain(|name| *name != role);
                    if user.account.roles.len() == had {
                        return missing("role", role.as_str());
                    }
                }
                user
            }
        };
        Ok(Some(after))
    }
}

impl Tally {
    /// Counts one edit of a user whom nobody could read.
    pub(super) fn count_overwritten(&mut self, after: Option<&User>) {
        match after {
            None => self.removed += 1,
            Some(_) => self.changed += 1,
        }
    }

    /// Counts one edit, and says whether there is anything to write.
    pub(super) fn count(&mut self, before: Option<&User>, after: Option<&User>) -> bool {
        match (before, after) {
            (before, after) if before == after => {
                self.unchanged += 1;
                return false;
            }
            (None, _) => self.added += 1,
            (Some(_), None) => self.removed += 1,
            (Some(_), Some(_)) => self.changed += 1,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";

    fn hash() -> PasswordHash {
        PasswordHash::parse(HASH).unwrap()
    }

    fn edit(before: Option<&User>, edit: Edit) -> Result<Option<User>, StoreError> {
        let name = UserName::new("alice").unwrap();
        UserEdit { name, edit }.apply(before)
    }

    fn add(superuser: Option<bool>, replace: bool) -> Edit {
        Edit::Add {
            password: hash(),
            superuser,
            replace,
        }
    }

    fn topic(text: &str) -> TopicTemplate {
        TopicTemplate::new(text).unwrap()
    }

    fn access(text: &str, qos: u8) -> Access {
        Access {
            topic: topic(text),
            publish: true,
            subscribe: false,
            retain: true,
            qos,
        }
    }

    #[test]
    fn nobody_is_added_twice_or_changed_before() {
        let alice = edit(None, add(None, false)).unwrap().unwrap();
        assert!(!alice.account.superuser);
        let again = edit(Some(&alice), add(None, false));
        assert!(matches!(again, Err(StoreError::Exists(_))));
        for impossible in [
            Edit::Password(hash()),
            Edit::Remove,
            Edit::Disabled(true),
            Edit::Grant(Vec::new(), Vec::new()),
        ] {
            let nobody = edit(None, impossible);
            assert!(matches!(nobody, Err(StoreError::Missing(_))));
        }
    }

    #[test]
    fn replacing_keeps_what_was_not_named() {
        let root = edit(None, add(Some(true), false)).unwrap().unwrap();
        let root = edit(Some(&root), Edit::Disabled(true)).unwrap().unwrap();
        let same = edit(Some(&root), add(None, true)).unwrap().unwrap();
        assert_eq!(same, root);
        let other = edit(Some(&root), add(Some(false), true)).unwrap().unwrap();
        assert!(!other.account.superuser && other.account.disabled);
    }

    #[test]
    fn grants_are_given_and_taken() {
        let role = RoleName::new("operators").unwrap();
        let alice = edit(None, add(None, false)).unwrap().unwrap();
        let give = |user: &User, qos| {
            let grants = vec![access("news/#", qos)];
            edit(Some(user), Edit::Grant(grants, vec![role.clone()]))
                .unwrap()
                .unwrap()
        };
        let granted = give(&give(&alice, 2), 1);
        assert_eq!(granted.account.grants, [access("news/#", 1)]);
        assert_eq!(granted.account.roles, std::slice::from_ref(&role));

        let take = |what: &str| Edit::Revoke(vec![topic(what)], vec![role.clone()]);
        let nothing = edit(Some(&granted), take("other/#"));
        assert!(matches!(nothing, Err(StoreError::NotGranted(..))));
        let taken = edit(Some(&granted), take("news/#")).unwrap();
        assert_eq!(taken, Some(alice));
    }

    #[test]
    fn counts() {
        let alice = edit(None, add(None, false)).unwrap().unwrap();
        let root = edit(None, add(Some(true), false)).unwrap().unwrap();
        let mut tally = Tally::default();
        assert!(tally.count(None, Some(&alice)));
        assert!(tally.count(Some(&alice), Some(&root)));
        assert!(!tally.count(Some(&root), Some(&root)));
        assert!(tally.count(Some(&root), None));
        let expected = Tally {
            added: 1,
            changed: 1,
            removed: 1,
            unchanged: 1,
        };
        assert_eq!(tally, expected);
    }
}
