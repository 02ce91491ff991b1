//! `pullgate policy`: look at policies, find mistakes in them, and put them in force.

mod install;
mod lint;
mod proposal;
mod show;
mod trial;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Context, CtlError, Exit};

/// Show, check and install policies
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Put a policy in force, if it parses; the one before it is kept beside it as .old
    Install {
        /// The new policy
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Make it the policy of this namespace
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
    },
    /// Find mistakes in a policy, and list every host that may be contacted because of it
    Lint {
        /// The policy; without it the one in force
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show the policy in force, scope by scope, or what decides about one image
    Show {
        /// An image, named as in a pod
        #[arg(value_name = "IMAGE")]
        image: Option<String>,
        /// Show what is in force for this namespace
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
    },
    /// Tell which images seen on this node would get another verdict from a new policy, offline
    Try {
        /// The new policy
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// As the policy of this namespace
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
    },
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        match self {
            Self::Install { file, namespace } => install::run(file, namespace.as_deref(), context),
            Self::Lint { file } => lint::run(file.as_deref(), context),
            Self::Try { file, namespace } => trial::run(file, namespace.as_deref(), context),
            Self::Show { image, namespace } => {
                show::run(image.as_deref(), namespace.as_deref(), context)
            }
        }
    }
}
