//! The step of the suite that holds the API of generated services to its document, with the script that projects bring.

use std::process::Command;

use anyhow::Result;

use crate::demo;
use crate::postgres;
use crate::process;
use crate::repo;
use crate::service;
use crate::suite::Suite;
use crate::tools;

/// Asks the default service, on both databases.
pub fn kept(suite: &mut Suite) -> Result<()> {
    for program in ["python3", "curl"] {
        if tools::on_path(&[program]).is_none() {
            return suite.skip("contract", &format!("{program} is not installed"));
        }
    }
    for database in ["sqlite", "postgres"] {
        let name = format!("axle-contract-{database}");
        let project = demo::generated_with(&name, &[("database", database)])?;
        // The script wants the lock as the first build leaves it.
        process::run(service::cargo(&project).arg("build"))?;
        let mut contract = Command::new("scripts/contract");
        contract
            .current_dir(&project)
            .env("CONTRACT_TOOLS", repo::target().join("contract"))
            .env("CARGO_TARGET_DIR", repo::services_target())
            .env("CARGO_INCREMENTAL", "0");
        if database == "postgres" {
            // On a server of somebody's own there may be one of an earlier run.
            let database = format!("contract_{}", std::process::id());
            let url = postgres::create_database(&suite.postgres_url()?, &database)?;
            contract.env("DATABASE_URL", url);
        }
        suite.check(contract)?;
    }
    Ok(())
}
