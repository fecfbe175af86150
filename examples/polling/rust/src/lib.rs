//! Polling: a workflow that follows a feed for as long as there is one. Its history would grow without end, so now and
//! then it goes on in a new run, and takes along where it was.

use mainspring_workflow::prelude::*;

/// What the workflow is started with, and what one run hands on to the next.
#[derive(Clone, Deserialize, Serialize)]
struct Feed {
    url: String,
    /// The pause between two looks.
    every_ms: u64,
    /// Where to read on.
    #[serde(default)]
    cursor: u64,
    /// The items of all runs so far.
    #[serde(default)]
    items: u64,
    /// The runs before this one.
    #[serde(default)]
    earlier_runs: u32,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<String>,
    next_cursor: u64,
    is_last: bool,
}

#[activity]
fn fetch_page(url: &str, cursor: u64) -> Page;

#[handlers]
impl Feed {
    /// How far it is.
    #[query]
    fn progress(&self) -> Feed {
        self.clone()
    }

    fn take(&mut self, page: &Page) {
        self.items += page.items.len() as u64;
        self.cursor = page.next_cursor;
    }

    fn in_the_next_run(&self) -> Feed {
        Feed { earlier_runs: self.earlier_runs + 1, ..self.clone() }
    }
}

#[workflow]
async fn follow_feed(feed: Feed) -> WorkflowResult<Feed> {
    let url = feed.url.clone();
    let pause = Duration::from_millis(feed.every_ms);
    let feed = feed.register();
    let mut stops = signals::<()>("stop");
    loop {
        let cursor = feed.borrow().cursor;
        let page = fetch_page(&url, cursor).start_to_close_timeout(Duration::from_secs(30)).await?;
        feed.borrow_mut().take(&page);

        // What this run has been told it has to hear before it ends: the next one does not get to hear it.
        if page.is_last || stops.try_next().is_some() {
            return Ok(feed.borrow().clone());
        }
        // From 4,096 events or 4 MiB of history on.
        if history().continue_as_new_suggested {
            return Err(follow_feed::continue_as_new(feed.borrow().in_the_next_run()).into());
        }
        select! {
            stopped = stops.next() => {
                stopped?;
                return Ok(feed.borrow().clone());
            }
            waited = sleep(pause) => waited?,
        }
    }
}

mainspring_workflow::export!(follow_feed);

#[cfg(test)]
mod tests {
    use mainspring_workflow::{
        ToPayload,
        testing::{Event, TestConfig, TestRun, signal},
    };
    use serde_json::{Value, json};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Two items on each page, of which there are so many.
    fn start(pages: u64) -> TestRun {
        let fetch = move |_url: String, cursor: u64| json!({ "items": ["a", "b"], "next_cursor": cursor + 1, "is_last": cursor + 1 == pages });
        let feed = json!({ "url": "news", "every_ms": MINUTE.as_millis() as u64 });
        TestConfig::new().activity("fetch_page", fetch).start::<follow_feed>([feed])
    }

    #[test]
    fn it_looks_every_minute_until_the_last_page() {
        let mut run = start(60);
        run.skip_time(10 * MINUTE);
        assert_eq!(run.query::<Value>("progress", [(); 0]).unwrap()["items"], 22);
        run.skip_to_end();
        assert_eq!(run.elapsed(), 59 * MINUTE);
        assert_eq!(run.result::<Feed>().unwrap().items, 120);
        run.assert_replays();
    }

    #[test]
    fn it_goes_on_in_a_new_run_where_it_was() {
        let mut run = start(60);
        run.skip_time(10 * MINUTE);
        run.suggest_continue_as_new();
        run.skip_time(MINUTE);
        run.assert_replays();
        let mut run = run.next_run();
        assert_eq!(run.activity_calls("fetch_page")[0].get::<u64>(1).unwrap(), 12, "the cursor came along");
        run.skip_to_end();
        let feed = run.result::<Feed>().unwrap();
        assert_eq!((feed.items, feed.earlier_runs), (120, 1));
    }

    #[test]
    fn it_stops_when_it_is_told_to_also_at_the_very_moment_of_going_on() {
        let mut run = start(60);
        run.suggest_continue_as_new();
        run.resume([Event::TimerFired(2), signal("stop", ())]);
        assert_eq!(run.result::<Feed>().unwrap().items, 2);

        // The same while the page is on its way.
        let feed = json!({ "url": "news", "every_ms": 1 });
        let mut run = TestRun::start::<follow_feed>([feed]);
        run.suggest_continue_as_new();
        let page = json!({ "items": ["a"], "next_cursor": 1, "is_last": false }).to_payload().unwrap();
        run.resume([Event::ActivityResolved((1, Ok(vec![page]))), signal("stop", ())]);
        assert_eq!(run.result::<Feed>().unwrap().items, 1);
    }
}
