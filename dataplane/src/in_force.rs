//! What holds for whoever comes in now. A reload replaces it as one, and a connection takes it as one: nobody has the
//! mount of one configuration and the service of another.

use std::sync::Arc;

use crate::{listener::Terms, session::Shared};

/// One configuration, as connections need it.
#[derive(Debug)]
pub(crate) struct InForce<D> {
    /// For all listeners.
    pub(crate) shared: Arc<Shared<D>>,
    /// For each, by its place in the configuration.
    pub(crate) terms: Vec<Arc<Terms>>,
}
