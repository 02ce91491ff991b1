//! `pullgate check`: decides as a pull would, and shows the whole reasoning.

mod advice;
mod report;

use clap::Args;

use super::progress::Progress;
use super::{Context, CtlError, Exit, credentials, request};
use report::{Image, Reasoning};

/// Decide about images as a pull would, and show why
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Images, named as in a pod
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Decide for the pods of this namespace, which may have a policy of its own
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    credentials: credentials::Arguments,
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        let namespace = super::namespace_of(self.namespace.as_deref())?;
        let checked = context.block_on(async {
            let gate = context.gate()?;
            let credentials = self.credentials.read()?;
            let progress = Progress::of(self.images.len(), "checking");
            let mut checked = Vec::with_capacity(self.images.len());
            for image in &self.images {
                progress.next(image);
                let auth = credentials.for_image(image)?;
                let whose = self.namespace.clone().unwrap_or_default();
                let outcome = gate.check(request(image, auth, whose)).await;
                let audited = outcome.findings.reference.as_ref().is_some_and(|reference| {
                    gate.modes.auditing(reference, namespace.as_ref()).is_some()
                });
                checked.push(Image::of(image, &outcome, audited, &context.config));
            }
            Ok::<_, CtlError>(checked)
        })??;
        let exit = Exit::worst(checked.iter().map(Image::exit));
        context.output.print(&Reasoning { images: checked })?;
        Ok(exit)
    }
}
