//! The tags of a repository, for whoever looks around. No pull needs them.

use pullgate_policy::limits;
use pullgate_policy::reference::Reference;
use pullgate_policy::strict::{JsonError, json};

use super::hosts::Capability;
use super::{ANYTHING, Ask, Failure, RegistryError, Repository, next_page};

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
                let mut query: Option<String> = None;
                for _page in 0..PAGES {
                    let ask = inner.ask("tags/list", ANYTHING, last);
                    let answer = endpoint.get(Ask { query: query.as_deref(), ..ask }).await?;
                    query = next_page(&answer);
                    let body = inner.body(answer, limits::MANIFEST_BYTES).await?;
                    tags.extend(parse(&body).map_err(Failure::Tags)?);
                    if query.is_none() {
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
