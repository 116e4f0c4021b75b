//! Tasks in sqlx, through Tidegate: each is written, then read at once on another connection.

mod tasks;

#[tokio::main]
async fn main() -> Result<(), sqlx::Error> {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names the database");
    let report = tasks::run(&url).await?;
    print!("{report}");
    assert_eq!(report.not_seen, 0, "a read has missed a write");
    Ok(())
}
