//! Lists and counts of runs, from the visibility rows: no history is read.

pub mod filter;

use std::{ops::ControlFlow, sync::Arc};

use mainspring_api::workflow::WorkflowExecutionInfo;
use mainspring_core::{Rejection, limits::temporal as limits};
use mainspring_store::{Store, prefix_end};

use crate::{Engine, EngineError, ListPage, keys, limits::SCAN_ROWS, rows::decode};
use filter::Filter;

impl Engine {
    /// The runs that fit a filter (an empty one fits all): open ones first, the latest first. A page token is good
    /// for the same filter only.
    pub async fn list_workflows(
        &self,
        namespace: &str,
        query: &str,
        page_size: usize,
        page_token: &[u8],
    ) -> Result<ListPage, EngineError> {
        let page_size = if page_size == 0 { limits::LIST_PAGE } else { page_size.min(limits::LIST_PAGE) };
        let prefix = keys::visibilities(self.shared().namespaces.id(namespace)?);
        if !page_token.is_empty() && !page_token.starts_with(&prefix) {
            return Err(Rejection::invalid("Invalid NextPageToken.").into());
        }
        let start = if page_token.is_empty() { prefix.clone() } else { page_token.to_vec() };
        let filter = Filter::parse(query).map_err(EngineError::InvalidQuery)?;
        let page = self.blocking(move |store| {
            let mut page = ListPage { executions: Vec::new(), next_page_token: Vec::new() };
            scan(store, start, &prefix_end(&prefix), |key, info| {
                if page.executions.len() == page_size {
                    page.next_page_token = key.to_vec();
                    return ControlFlow::Break(());
                }
                if filter.fits(&info) {
                    page.executions.push(info);
                }
                ControlFlow::Continue(())
            })?;
            Ok(page)
        });
        page.await
    }

    pub async fn count_workflows(&self, namespace: &str, query: &str) -> Result<i64, EngineError> {
        let prefix = keys::visibilities(self.shared().namespaces.id(namespace)?);
        let filter = Filter::parse(query).map_err(EngineError::InvalidQuery)?;
        let count = self.blocking(move |store| {
            let mut count = 0;
            scan(store, prefix.clone(), &prefix_end(&prefix), |_, info| {
                count += i64::from(filter.fits(&info));
                ControlFlow::Continue(())
            })?;
            Ok(count)
        });
        count.await
    }

    /// Reads the store away from the asynchronous threads; what was read is durable when it is returned.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = Arc::clone(&self.shared().store);
        let result = tokio::task::spawn_blocking(move || read(&*store)).await;
        let result = result.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        self.barrier().await;
        Ok(result)
    }
}

fn scan(
    store: &dyn Store,
    mut start: Vec<u8>,
    end: &[u8],
    mut visit: impl FnMut(&[u8], WorkflowExecutionInfo) -> ControlFlow<()>,
) -> Result<(), EngineError> {
    loop {
        let rows = store.scan(&start, end, false, SCAN_ROWS)?;
        for (key, value) in &rows {
            if visit(key, decode("visibility", key, value)?).is_break() {
                return Ok(());
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() == SCAN_ROWS => {
                start.clone_from(key);
                start.push(0);
            }
            _ => return Ok(()),
        }
    }
}
