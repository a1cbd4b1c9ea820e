//! The two optional services beside the authorization service: one that pushes what a test tells it to,
//! and one that remembers what it is told.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
};

use tidegate_proto::v1::{
    Event, Heartbeat, ReportEventsRequest, ReportEventsResponse, SessionSelector,
    WatchDirectivesRequest, WatchDirectivesResponse, control_service_server::ControlService,
    event_service_server::EventService, session_selector, watch_directives_response::Directive,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, wrappers::UnboundedReceiverStream};
use tonic::{Request, Response, Status};

use super::Scripted;
use crate::wait::eventually;

type Pushed = Result<WatchDirectivesResponse, Status>;
type Greeting = Arc<dyn Fn(&str) -> Vec<WatchDirectivesResponse> + Send + Sync>;

/// Both of them.
pub(super) struct Companions {
    state: Mutex<State>,
}

struct State {
    greeting: Greeting,
    watches: Vec<UnboundedSender<Pushed>>,
    /// Resume tokens, by watch.
    opened: Vec<String>,
    reports: Vec<ReportEventsRequest>,
    events_refused: Option<Status>,
}

impl Default for Companions {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                greeting: Arc::new(|_| vec![heartbeat("start")]),
                watches: Vec::new(),
                opened: Vec::new(),
                reports: Vec::new(),
                events_refused: None,
            }),
        }
    }
}

impl fmt::Debug for Companions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock().unwrap();
        f.debug_struct("Companions")
            .field("opened", &state.opened)
            .field("reports", &state.reports)
            .finish_non_exhaustive()
    }
}

/// A sign of life.
#[must_use]
pub fn heartbeat(resume_token: &str) -> WatchDirectivesResponse {
    directive(resume_token, Directive::Heartbeat(Heartbeat {}))
}

/// A message of the watch.
#[must_use]
pub fn directive(resume_token: &str, directive: Directive) -> WatchDirectivesResponse {
    WatchDirectivesResponse {
        resume_token: resume_token.to_owned(),
        directive: Some(directive),
    }
}

/// A choice of sessions.
#[must_use]
pub fn choosing(selector: session_selector::Selector) -> Option<SessionSelector> {
    Some(SessionSelector {
        selector: Some(selector),
    })
}

impl Scripted {
    /// What a new watch is told first, by the token that it resumes from. By default a heartbeat.
    pub fn greet_watches(
        &self,
        greeting: impl Fn(&str) -> Vec<WatchDirectivesResponse> + Send + Sync + 'static,
    ) {
        self.companions.state.lock().unwrap().greeting = Arc::new(greeting);
    }

    /// Waits until this many watches have been opened, and returns the tokens that they resumed from.
    #[track_caller]
    pub fn wait_for_watches(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} watches"), || {
            let state = self.companions.state.lock().unwrap();
            Some(state.opened.clone()).filter(|opened| opened.len() >= count)
        })
    }

    /// Sends this to all watches that are open.
    pub fn push(&self, message: &WatchDirectivesResponse) {
        let mut state = self.companions.state.lock().unwrap();
        state
            .watches
            .retain(|watch| watch.send(Ok(message.clone())).is_ok());
    }

    /// Ends all watches that are open.
    pub fn break_watches(&self) {
        let mut state = self.companions.state.lock().unwrap();
        for watch in state.watches.drain(..) {
            let _ = watch.send(Err(Status::unavailable("told to")));
        }
    }

    /// Refuses reports of events, or takes them again.
    pub fn refuse_events(&self, status: Option<Status>) {
        self.companions.state.lock().unwrap().events_refused = status;
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let state = self.companions.state.lock().unwrap();
        let reports = state.reports.iter();
        reports.flat_map(|report| report.events.clone()).collect()
    }

    /// Events that the gate says were lost.
    #[must_use]
    pub fn events_dropped(&self) -> u64 {
        let state = self.companions.state.lock().unwrap();
        state
            .reports
            .iter()
            .map(|report| report.dropped_count)
            .sum()
    }

    /// Waits until this many events were reported, and returns all.
    #[track_caller]
    pub fn wait_for_events(&self, count: usize) -> Vec<Event> {
        eventually(&format!("{count} events"), || {
            Some(self.events()).filter(|events| events.len() >= count)
        })
    }
}

#[tonic::async_trait]
impl ControlService for Companions {
    type WatchDirectivesStream = Pin<Box<dyn Stream<Item = Pushed> + Send>>;

    async fn watch_directives(
        &self,
        request: Request<WatchDirectivesRequest>,
    ) -> Result<Response<Self::WatchDirectivesStream>, Status> {
        let token = request.into_inner().resume_token;
        let (watch, pushed) = unbounded_channel();
        let mut state = self.state.lock().unwrap();
        for message in (state.greeting)(&token) {
            let _ = watch.send(Ok(message));
        }
        state.opened.push(token);
        state.watches.push(watch);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            pushed,
        ))))
    }
}

#[tonic::async_trait]
impl EventService for Companions {
    async fn report_events(
        &self,
        request: Request<ReportEventsRequest>,
    ) -> Result<Response<ReportEventsResponse>, Status> {
        let mut state = self.state.lock().unwrap();
        if let Some(status) = &state.events_refused {
            return Err(status.clone());
        }
        state.reports.push(request.into_inner());
        Ok(Response::new(ReportEventsResponse {}))
    }
}
