//! What can be read of a user whose row makes none.

use super::pool::{Lease, on};
use crate::{identity::UserName, users::Account};

const FLAGS: &str = "SELECT superuser, disabled FROM users WHERE name = $1";

/// The columns that nobody can write wrongly. Who replaces the others must not let in a disabled user by that.
pub(super) async fn flags(lease: &mut Lease, name: &UserName) -> Result<Account, sqlx::Error> {
    let (superuser, disabled) = on!(lease, connection => {
        sqlx::query_as(FLAGS).bind(name.as_str()).fetch_one(connection).await?
    });
    Ok(Account {
        superuser,
        disabled,
        ..Account::default()
    })
}
