//! CONNECT: who is this client, and what does the session carry from here on?

use std::time::SystemTime;

use tidegate_proto::v1::{ConnectAllow, ConnectCheck};
use tracing::Span;

use super::{
    Inner,
    sessions::Sessions,
    verdict::{self, Allowed, Fault, Verdict},
};
use crate::{
    deadline::Deadline,
    identity::Principal,
    login::LoggedIn,
    password::Password,
    policy::{Grant, Refusal, Rules},
    session_state::{Binding, Claims},
    users::source::{Login, Verified},
};

impl Inner {
    /// Decides on one CONNECT, and takes its password away.
    ///
    /// The will is not looked at here: the data plane asks about it as a publication.
    pub(super) async fn connect(
        &self,
        check: &mut ConnectCheck,
        sessions: &Sessions,
        deadline: Deadline,
        span: &Span,
    ) -> Verdict<ConnectAllow> {
        let begun = SystemTime::now();
        let password = check.password.take();
        let session = verdict::session(check.session.as_ref())?;
        if check.auth_method.is_some() {
            return Err(Refusal::AuthMethod.into());
        }

        let password = password.as_deref().map(Password::new);
        let login = Login {
            username: session.username.as_deref(),
            password: password.as_ref(),
            client_id: &session.client_id,
            tls: check.peer.as_ref().and_then(|peer| peer.tls.as_ref()),
            listener: &session.listener,
        };
        let logged_in = self.logins.log_in(&login, deadline, span).await?;
        let (claims, grant) = match logged_in {
            Some(LoggedIn { verified, stored }) => {
                let Verified {
                    name,
                    account,
                    expires_at,
                    rule,
                } = verified;
                let principal = Principal::User {
                    name,
                    superuser: account.superuser,
                    roles: account.roles,
                    grants: account.grants,
                };
                let claims = Claims {
                    principal,
                    stored,
                    oracle: account.oracle && !account.superuser,
                    ends: expires_at,
                };
                (claims, Grant::Login(rule))
            }
            None => (anonymous(&login, &sessions.rules)?, Grant::Anonymous),
        };
        let broker_client_id = sessions
            .rules
            .broker_client_id(&claims.principal, &session.client_id)?;
        let binding = Binding {
            session_id: &session.session_id,
            client_id: &session.client_id,
        };
        // What the source said was true when it was asked, and may have been overtaken since.
        let session_state = sessions
            .sealer
            .seal(&claims, binding, begun)
            .map_err(Fault::from)?;
        // A client that only listens makes no checks: its session has to end by the clock.
        let ends = sessions.sealer.end(&session_state, begun);
        let expires_at = match (claims.ends, ends) {
            (Some(by_itself), Some(by_age)) => Some(by_itself.min(by_age)),
            (one, other) => one.or(other),
        };
        let allow = ConnectAllow {
            principal: claims.principal.name().to_owned(),
            session_state,
            broker_client_id,
            expires_at: expires_at.map(Into::into),
            ..ConnectAllow::default()
        };
        Ok(Allowed { grant, allow })
    }
}

/// A client that has not named anybody.
fn anonymous(login: &Login<'_>, rules: &Rules) -> Result<Claims, Refusal> {
    // A password that nobody looks at must not seem to have been accepted.
    if login.password.is_some() {
        return Err(Refusal::UnknownUserOrPassword);
    }
    if !rules.admits_anonymous() {
        return Err(Refusal::Anonymous);
    }
    Ok(Claims {
        principal: Principal::Anonymous,
        stored: None,
        oracle: false,
        ends: None,
    })
}
