//! CONNECT: who is this client, and what does the session carry from here on?

use tidegate_proto::v1::{ConnectAllow, ConnectCheck};
use tracing::Span;

use super::{
    Inner,
    verdict::{self, Allowed, Verdict},
};
use crate::{
    config::ClientIds,
    deadline::Deadline,
    identity::Principal,
    password::Password,
    policy::{Grant, Refusal},
    users::source::{Login, Verified},
};

impl Inner {
    /// Decides on one CONNECT, and takes its password away.
    ///
    /// The will is not looked at here: the data plane asks about it as a publication.
    pub(super) async fn connect(
        &self,
        check: &mut ConnectCheck,
        deadline: Deadline,
        span: &Span,
    ) -> Verdict<ConnectAllow> {
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
        let (principal, grant, expires_at) =
            match self.logins.log_in(&login, deadline, span).await? {
                Some(verified) => {
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
                    (principal, Grant::Login(rule), expires_at)
                }
                None => (self.anonymous(&login)?, Grant::Anonymous, None),
            };
        let broker_client_id = match self.policy.client_ids {
            ClientIds::Off => None,
            ClientIds::Namespaced => {
                let id = principal.broker_client_id(&session.client_id);
                Some(id.ok_or(Refusal::ClientId)?)
            }
        };
        let allow = ConnectAllow {
            principal: principal.name().to_owned(),
            session_state: self.sealer.seal(&principal, &session.session_id),
            broker_client_id,
            expires_at: expires_at.map(Into::into),
            ..ConnectAllow::default()
        };
        Ok(Allowed { grant, allow })
    }

    fn anonymous(&self, login: &Login<'_>) -> Result<Principal, Refusal> {
        // A password that nobody looks at must not seem to have been accepted.
        if login.password.is_some() {
            return Err(Refusal::UnknownUserOrPassword);
        }
        if !self.policy.anonymous {
            return Err(Refusal::Anonymous);
        }
        Ok(Principal::Anonymous)
    }
}
