//! Exit codes: a contract with scripts.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: accepted, or done.
    Accepted,
    /// 1: rejected by the policy, or something that was looked for is wrong.
    Rejected,
    /// 2: the command line or a configuration file is not valid.
    Usage,
    /// 3: containerd, a registry, a signature store or the disk did not do its part.
    Infrastructure,
    /// 4: rejected, and the signer is nobody the policy knows.
    UnknownSigner,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::UnknownSigner => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
