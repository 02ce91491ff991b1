//! The tags of a repository, for whoever looks around. No pull needs them.

use http::header;
use pullgate_policy::limits;
use pullgate_policy::reference::Reference;
use pullgate_policy::strict::{JsonError, json};

use super::hosts::Capability;
use super::{ANYTHING, Failure, RegistryError, Repository};

/// Most pages of one list: a registry that never ends is not followed.
const PAGES: usize = 100;

impl Repository {
    /// Every tag, in the registry's order. Names that are no tags are left out.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let inner = &self.inner;
        inner
            .first(&inner.name, Capability::Resolve, |endpoint, last| async move {
                let mut tags = Vec::new();
                let mut after: Option<String> = None;
                for _page in 0..PAGES {
                    let query = after.as_deref().map(|last| ("last", last));
                    let ask = inner.ask("tags/list", ANYTHING, last);
                    let answer = endpoint.get(super::endpoint::Ask { query, ..ask }).await?;
                    let more = answer.headers().contains_key(header::LINK);
                    let body = inner.body(answer, limits::MANIFEST_BYTES).await?;
                    let page = parse(&body).map_err(Failure::Tags)?;
                    after = page.last().cloned().filter(|_| more);
                    tags.extend(page);
                    if after.is_none() {
                        break;
                    }
                }
                tags.retain(|tag| Reference::parse(&format!("any.example/any:{tag}")).is_ok());
                Ok(tags)
            })
            .await
    }
}

fn parse(body: &[u8]) -> Result<Vec<String>, JsonError> {
    let document = json(body)?;
    let object = document.root().object()?;
    let Some(list) = object.get("tags").filter(|list| !list.is_null()) else {
        return Ok(Vec::new());
    };
    list.list()?.map(|tag| tag.string().map(str::to_owned)).collect()
}
