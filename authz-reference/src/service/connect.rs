//! CONNECT: who is this client, and what does the session carry from here on?

use bytes::Bytes;
use tidegate_proto::v1::{ConnectAllow, ConnectCheck};
use tracing::{Instrument, Span};

use super::{
    Inner,
    verdict::{self, Allowed, Fault, NotAllowed, Verdict},
};
use crate::{
    config::ClientIds,
    deadline::Deadline,
    identity::{Principal, UserName},
    password::Password,
    policy::{Grant, Refusal},
    telemetry::verification_span,
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

        let (principal, grant) = match session.username.as_deref() {
            Some(name) => {
                let principal = self.log_in(name, password, deadline, span).await?;
                (principal, Grant::Password)
            }
            None => (self.anonymous(password)?, Grant::Anonymous),
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
            ..ConnectAllow::default()
        };
        Ok(Allowed { grant, allow })
    }

    async fn log_in(
        &self,
        name: &str,
        password: Option<Bytes>,
        deadline: Deadline,
        span: &Span,
    ) -> Result<Principal, NotAllowed> {
        let name = UserName::new(name).map_err(|_| Refusal::UserName)?;
        // No password is never the right one. Answering at once tells nothing about the user.
        let password = password.ok_or(Refusal::UnknownUserOrPassword)?;
        let password = Password::new(&password);

        // The users file may be on a disk that hangs.
        let users = deadline
            .bound(self.users.current())
            .await
            .ok_or(Fault::Users)?;
        let credential = users.credential(&name);
        let account = self
            .pool
            .run(deadline, move || credential.verify(&password))
            .instrument(verification_span(span))
            .await?
            .ok_or(Refusal::UnknownUserOrPassword)?;
        Ok(Principal::User {
            name,
            superuser: account.superuser,
        })
    }

    fn anonymous(&self, password: Option<Bytes>) -> Result<Principal, Refusal> {
        // A password that nobody looks at must not seem to have been accepted.
        if password.is_some() {
            return Err(Refusal::UnknownUserOrPassword);
        }
        if !self.policy.anonymous {
            return Err(Refusal::Anonymous);
        }
        Ok(Principal::Anonymous)
    }
}
