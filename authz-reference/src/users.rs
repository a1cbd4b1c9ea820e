//! Who may log in, and where that is known.
//!
//! * [`source`] is what every user base can be asked,
//! * [`changes`] is what those that store users tell,
//! * [`open`](mod@open) makes them from the configuration,
//! * [`file`](mod@file) reads the users file, [`live`] keeps a running service up to date with it,
//! * [`sql`](mod@sql) keeps users in SQLite and PostgreSQL,
//! * [`store`] is what `tidegate-authz user` can do with them; [`edit`] does it with the file,
//! * [`http`] asks a user manager, [`goauth`] a gateway that answers Mosquitto's go-auth plugin, which may
//!   decide about topics too ([`topic_oracle`]),
//! * [`jwt`] looks at a token's signature,
//! * [`certificate`] takes the name from the client's certificate.

use std::{collections::HashMap, sync::Arc};

use crate::{
    access::{Access, RoleName},
    identity::UserName,
    password::{Password, PasswordHash},
};

pub mod certificate;
pub mod changes;
pub mod edit;
pub mod file;
pub mod goauth;
pub mod http;
pub mod jwt;
mod lines;
pub mod live;
pub mod open;
pub mod source;
pub mod sql;
pub mod store;
pub(crate) mod token;
pub mod topic_oracle;

/// What the user base knows about somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What their password must verify against.
    pub password: PasswordHash,
    /// The rest.
    pub account: Account,
}

/// What logging in gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Whether every action is allowed.
    pub superuser: bool,
    /// Whether they may not log in for now. Said only to who knows the password.
    pub disabled: bool,
    /// Roles, whose grants are in the configuration. A role that is not defined grants nothing.
    pub roles: Vec<RoleName>,
    /// Grants of their own.
    pub grants: Vec<Access>,
    /// Whether the [`TopicOracle`](topic_oracle::TopicOracle) is asked about their topics, in place of the
    /// rules of this service.
    pub oracle: bool,
}

/// All users at one moment.
#[derive(Debug, Default)]
pub struct Users {
    by_name: HashMap<UserName, Arc<User>>,
    /// What the password of an unknown user is verified against.
    decoy: Arc<PasswordHash>,
}

impl Users {
    /// Everybody, in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<(&UserName, &Account)> {
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .map(|(name, user)| (name, &user.account))
            .collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is nobody, so that nobody can log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Something to verify a password against, whether the user exists or not.
    #[must_use]
    pub fn credential(&self, name: &UserName) -> Credential {
        match self.by_name.get(name) {
            Some(user) => Credential::Known(Arc::clone(user)),
            None => Credential::Unknown(Arc::clone(&self.decoy)),
        }
    }
}

/// Unknown users must cost what known ones cost, or the answer time would tell who exists. The
/// decoy therefore imitates the most costly hash in the file: where all hashes were made with the
/// same parameters, as `tidegate-authz` makes them, no difference is left.
impl FromIterator<(UserName, User)> for Users {
    fn from_iter<I: IntoIterator<Item = (UserName, User)>>(users: I) -> Self {
        let by_name: HashMap<_, _> = users
            .into_iter()
            .map(|(name, user)| (name, Arc::new(user)))
            .collect();
        let costliest = by_name
            .values()
            .map(|user| &user.password)
            .max_by_key(|hash| hash.cost());
        let decoy = costliest.map_or_else(PasswordHash::default, PasswordHash::decoy);
        Self {
            by_name,
            decoy: Arc::new(decoy),
        }
    }
}

/// Somebody, or a stand-in for nobody; verifying takes the same time.
#[derive(Debug)]
pub enum Credential {
    /// A user.
    Known(Arc<User>),
    /// Nobody of that name.
    Unknown(Arc<PasswordHash>),
}

impl Credential {
    /// The account, if the user exists and the password is theirs. Slow by design.
    #[must_use]
    pub fn verify(&self, password: &Password) -> Option<Account> {
        match self {
            Self::Known(user) => user.password.verify(password).then(|| user.account.clone()),
            Self::Unknown(decoy) => {
                // For the time it takes. The compiler must not find out that nobody looks.
                std::hint::black_box(decoy.verify(password));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(m_cost: u32) -> User {
        let text =
            format!("$argon2id$v=19$m={m_cost},t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA");
        User {
            password: PasswordHash::parse(&text).unwrap(),
            account: Account::default(),
        }
    }

    fn name(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn the_decoy_costs_as_much_as_the_costliest_user() {
        let users: Users = [
            (name("a"), user(8)),
            (name("b"), user(64)),
            (name("c"), user(16)),
        ]
        .into_iter()
        .collect();
        let Credential::Unknown(decoy) = users.credential(&name("nobody")) else {
            panic!("nobody is somebody");
        };
        assert_eq!(decoy.cost(), user(64).password.cost());
    }

    #[test]
    fn nobody_gets_in_when_there_is_nobody() {
        let users: Users = [(name("a"), user(8))].into_iter().collect();
        assert_eq!(
            users
                .credential(&name("nobody"))
                .verify(&Password::new(b"")),
            None
        );
        assert_eq!(
            users
                .credential(&name("a"))
                .verify(&Password::new(b"wrong")),
            None
        );
    }
}
