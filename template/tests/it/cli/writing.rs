//! Articles that are written to a running service, and read from it.

use serde_json::json;

use super::http::Answer;
use super::process::Service;

impl Service {
    /// Adds a published article and expects that to work.
    #[track_caller]
    pub fn publish(&self, title: &str) -> Answer {
        let answer = self.try_to_publish(title);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    pub fn try_to_publish(&self, title: &str) -> Answer {
        let article = json!({ "title": title, "status": "published" }).to_string();
        self.send("POST", "/api/v1/articles", &article)
    }

    /// The titles of the articles in the database, the newest first.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        let answer = self.get("/api/v1/articles");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let items = &answer.json()["items"];
        let titles = items.as_array().expect("a list").iter();
        titles
            .map(|item| item["title"].as_str().expect("a title").to_owned())
            .collect()
    }
}
