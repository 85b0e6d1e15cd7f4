//! Carries orders out, one at a time, whatever becomes of the session that brought them.

mod download;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use krakend_domain::Digest;
use krakend_proto::node::Acknowledgement;
use krakend_proto::node::node_service_client::NodeServiceClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::orders::{Decision, Order, Standing, Wanted, decide};
use crate::runtime::{ApplyError, Runtime};
use crate::store::{LastGood, Store, StoreError};

const RETRY: Duration = Duration::from_secs(2);

/// An order and the manager that holds its document.
#[derive(Clone)]
struct Task {
    order: Order,
    manager: NodeServiceClient<Channel>,
}

/// See the module.
pub struct Applier {
    store: Arc<Store>,
    runtime: Arc<dyn Runtime>,
    standing: Mutex<Standing>,
    tasks: watch::Sender<Option<Task>>,
    answers: watch::Sender<Option<Acknowledgement>>,
    /// The document that serves, as it was downloaded.
    document: Mutex<Option<Arc<Vec<u8>>>>,
}

/// Why an order was not carried out; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Download(#[from] download::DownloadError),
    #[error(transparent)]
    Gateway(ApplyError),
}

impl Applier {
    pub fn new(store: Arc<Store>, runtime: Arc<dyn Runtime>) -> Result<Self, StoreError> {
        let standing = Standing {
            seen: store.seen()?,
            last_good: store.last_good()?,
            serving: false,
            refused: None,
        };
        Ok(Self {
            store,
            runtime,
            standing: Mutex::new(standing),
            tasks: watch::Sender::new(None),
            answers: watch::Sender::new(None),
            document: Mutex::new(None),
        })
    }

    /// Serves the last good version from disk, before any manager is asked. False: there is none that works.
    pub async fn serve_last_good(&self) -> bool {
        let Some(good) = self.standing().last_good else {
            return false;
        };
        let number = good.number;
        let Some(document) = self.store.document(&good.digest, &good.body_sha256) else {
            tracing::error!(
                "the stored document of version {number} is missing or damaged; a manager must send it again"
            );
            return false;
        };
        match self.runtime.apply(&document).await {
            Ok(applied) => {
                let mut standing = self.standing();
                self.serves(document);
                standing.serving = true;
                if let Some(good) = &mut standing.last_good {
                    good.rendered = Digest(applied.rendered_digest);
                }
                tracing::info!("serving version {number} from the local store");
                true
            }
            Err(error) => {
                tracing::error!("the last good version {number} does not come up: {error}");
                false
            }
        }
    }

    /// What serves now, when that came from a version.
    pub fn applied(&self) -> Option<LastGood> {
        let standing = self.standing();
        let mut good = standing.last_good.filter(|_| standing.serving)?;
        // It changes when a gateway that died came back on other ports.
        if let Some(rendered) = self.runtime.rendered_digest() {
            good.rendered = Digest(rendered);
        }
        Some(good)
    }

    /// The newest answer, a refusal included.
    pub fn last_answer(&self) -> Option<Acknowledgement> {
        self.answers.borrow().clone()
    }

    /// Takes an order from an authenticated session; a newer one replaces one that waits.
    pub fn order(&self, order: Order, manager: NodeServiceClient<Channel>) {
        self.tasks.send_replace(Some(Task { order, manager }));
    }

    /// Drops an order that waits: the free version obeys none.
    pub fn forget_order(&self) {
        self.tasks.send_replace(None);
    }

    /// The newest order that was taken: epoch and generation.
    pub fn desired(&self) -> crate::store::Seen {
        self.standing().seen
    }

    /// What became of the orders.
    pub fn answers(&self) -> watch::Receiver<Option<Acknowledgement>> {
        self.answers.subscribe()
    }

    /// Works until it is dropped between two orders.
    pub async fn run(&self) {
        let mut tasks = self.tasks.subscribe();
        loop {
            let task = tasks.borrow_and_update().clone();
            if let Some(task) = task
                && let Err(obstacle) = self.carry_out(&task).await
            {
                let number = task
                    .order
                    .version
                    .as_ref()
                    .map_or(0, |wanted| wanted.number);
                tracing::warn!("version {number} is not serving yet: {obstacle}; trying again");
                let _ = tokio::time::timeout(RETRY, tasks.changed()).await;
                continue;
            }
            if tasks.changed().await.is_err() {
                return;
            }
        }
    }

    async fn carry_out(&self, task: &Task) -> Result<(), Obstacle> {
        let order = &task.order;
        let decision = decide(order, &self.standing());
        if decision != Decision::Ignore && order.at > self.standing().seen {
            // Before anything else: after a crash an older order must not win.
            self.store.set_seen(order.at)?;
            self.standing().seen = order.at;
        }
        let Some(wanted) = &order.version else {
            return Ok(());
        };
        match decision {
            Decision::Ignore => {
                let seen = self.standing().seen;
                tracing::warn!(
                    "an order of {:?} is ignored, {seen:?} was taken already",
                    order.at
                );
            }
            Decision::Note => {}
            Decision::RefuseAgain => self.answers.send_modify(|_| {}),
            Decision::Acknowledge => self.acknowledge(),
            Decision::Renumber => {
                let rendered = self.standing().last_good.map(|good| good.rendered);
                self.keep(order, wanted, rendered.unwrap_or(Digest([0; 32])))?;
            }
            Decision::Apply => self.apply(task, wanted).await?,
        }
        Ok(())
    }

    async fn apply(&self, task: &Task, wanted: &Wanted) -> Result<(), Obstacle> {
        let number = wanted.number;
        let document = match self.store.document(&wanted.digest, &wanted.body_sha256) {
            Some(document) => document,
            None => download::document(task.manager.clone(), wanted).await?,
        };
        self.store.set_document(&wanted.digest, &document)?;
        let outcome = match self.runtime.check(&document).await {
            Ok(()) => self.runtime.apply(&document).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(applied) => {
                self.serves(document);
                self.keep(&task.order, wanted, Digest(applied.rendered_digest))?;
                self.store.forget_documents(&wanted.digest);
                tracing::info!("serving version {number}");
                Ok(())
            }
            Err(ApplyError::Refused(refusal)) => {
                self.refuse(&task.order, wanted, refusal.text);
                Ok(())
            }
            Err(error @ ApplyError::NotHealthy { .. }) => {
                self.refuse(&task.order, wanted, error.to_string());
                Ok(())
            }
            Err(error) => Err(Obstacle::Gateway(error)),
        }
    }

    fn serves(&self, document: Vec<u8>) {
        let mut kept = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::new(document));
    }

    /// Writes the stored document of the version that serves anew, in case somebody else has changed it.
    pub fn restore_document(&self) -> Result<(), StoreError> {
        let kept = {
            let kept = self.document.lock().unwrap_or_else(PoisonError::into_inner);
            kept.clone()
        };
        match (self.applied(), kept) {
            (Some(good), Some(document)) => self.store.set_document(&good.digest, &document),
            _ => Ok(()),
        }
    }

    fn keep(&self, order: &Order, wanted: &Wanted, rendered: Digest) -> Result<(), StoreError> {
        let good = LastGood {
            epoch: order.at.epoch,
            generation: order.at.generation,
            number: wanted.number,
            digest: wanted.digest,
            body_sha256: wanted.body_sha256,
            rendered,
        };
        self.store.set_last_good(&good)?;
        {
            let mut standing = self.standing();
            standing.last_good = Some(good);
            standing.serving = true;
        }
        self.acknowledge();
        Ok(())
    }

    fn acknowledge(&self) {
        let applied = self.applied();
        self.answers
            .send_replace(applied.map(|good| acknowledgement(&good)));
    }

    fn refuse(&self, order: &Order, wanted: &Wanted, text: String) {
        tracing::error!("the gateway refuses version {}: {text}", wanted.number);
        self.standing().refused = Some(order.at);
        self.answers.send_replace(Some(Acknowledgement {
            epoch: order.at.epoch,
            generation: order.at.generation,
            number: wanted.number,
            digest: wanted.digest.0.to_vec().into(),
            rendered_digest: Default::default(),
            refusal: text,
        }));
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words in which a manager hears what serves.
pub fn acknowledgement(good: &LastGood) -> Acknowledgement {
    Acknowledgement {
        epoch: good.epoch,
        generation: good.generation,
        number: good.number,
        digest: good.digest.0.to_vec().into(),
        rendered_digest: good.rendered.0.to_vec().into(),
        refusal: String::new(),
    }
}
