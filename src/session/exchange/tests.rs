use super::*;

#[test]
fn answers_are_matched_in_the_order_sent() {
    let mut x = Exchange::default();
    x.sent(Owed::Parse { id: Some(1), visible: false });
    x.sent(Owed::CloseAsParse);
    x.sent(Owed::Ready { by_sync: true });
    assert!(!x.is_ready());
    assert_eq!(x.received(Backend::ParseComplete, b""), Ok(Seen::Hide));
    assert_eq!(x.received(Backend::CloseComplete, b""), Ok(Seen::AsParseComplete));
    assert_eq!(x.received(Backend::ReadyForQuery, b"I"), Ok(Seen::Ready(TransactionStatus::Idle)));
    assert!(x.is_settled());
    assert!(x.received(Backend::ReadyForQuery, b"I").is_err());
}

#[test]
fn the_answer_to_settings_sent_ahead_is_nobodys() {
    let mut x = Exchange::default();
    x.sent(Owed::Settings);
    x.sent(Owed::Ready { by_sync: false });
    for kind in [Backend::RowDescription, Backend::DataRow, Backend::ParameterStatus, Backend::ReadyForQuery]
    {
        assert_eq!(x.received(kind, b"I"), Ok(Seen::Hide));
    }
    assert_eq!(x.received(Backend::DataRow, b""), Ok(Seen::Pass));
    x.received(Backend::ReadyForQuery, b"I").unwrap();
    assert!(x.is_settled());
    x.sent(Owed::Settings);
    assert!(x.received(Backend::ErrorResponse, b"").is_err());
}

#[test]
fn an_error_undoes_what_the_server_skips() {
    let mut x = Exchange::default();
    x.sent(Owed::Parse { id: Some(1), visible: true });
    x.sent(Owed::Evicted { id: 9 });
    x.sent(Owed::Parse { id: Some(2), visible: false });
    x.sent(Owed::Ready { by_sync: true });
    x.received(Backend::ParseComplete, b"").unwrap();
    assert_eq!(x.received(Backend::ErrorResponse, b""), Ok(Seen::Error));
    assert_eq!(x.skipped(), Undone { not_prepared: vec![2], not_closed: vec![9], renamed: 0 });
    assert_eq!(x.received(Backend::ReadyForQuery, b"E"), Ok(Seen::Ready(TransactionStatus::Failed)));
    assert!(!x.is_settled());
}

#[test]
fn a_sync_sent_before_copy_data_is_ignored_by_the_server() {
    let mut x = Exchange::default();
    x.sent_unsynced();
    x.sent(Owed::Ready { by_sync: true });
    x.received(Backend::CopyInResponse, b"").unwrap();
    assert!(x.copies_in());
    x.copy_ended();
    assert!(x.is_ready() && !x.is_settled());
    x.sent(Owed::Ready { by_sync: true });
    x.received(Backend::ReadyForQuery, b"I").unwrap();
    assert!(x.is_settled());
}

#[test]
fn a_sync_of_the_proxys_own_is_ignored_as_well() {
    let mut x = Exchange::default();
    x.sent_unsynced();
    x.sent(Owed::Leave);
    assert!(x.is_about_to_leave());
    x.received(Backend::CopyInResponse, b"").unwrap();
    assert!(x.copies_in() && x.is_unsynced() && !x.is_leaving());
}

#[test]
fn a_copy_that_was_followed_by_something_else_waits_for_nobody() {
    for behind in [Frontend::Parse, Frontend::Bind, Frontend::Describe, Frontend::Execute, Frontend::Close] {
        let mut x = Exchange::default();
        x.sends([Frontend::Bind, Frontend::Execute].into_iter());
        x.sent_unsynced();
        assert!(x.may_copy());
        x.sends([behind].into_iter());
        x.sent(Owed::Leave);
        x.received(Backend::CopyInResponse, b"").unwrap();
        assert!(!x.copies_in() && x.is_about_to_leave(), "{behind:?}");
        x.received(Backend::ErrorResponse, b"").unwrap();
        assert_eq!(x.received(Backend::ReadyForQuery, b"I"), Ok(Seen::Left(TransactionStatus::Idle)));
        x.sends([Frontend::Query].into_iter());
        x.sent(Owed::Ready { by_sync: false });
        x.received(Backend::CopyInResponse, b"").unwrap();
        assert!(x.copies_in(), "{behind:?}");
    }
}

#[test]
fn an_error_before_the_session_leaves_is_told_from_one_in_between() {
    let mut x = Exchange::default();
    x.sent(Owed::Parse { id: None, visible: true });
    x.sent(Owed::Leave);
    x.received(Backend::ErrorResponse, b"").unwrap();
    x.skipped();
    assert!(x.is_about_to_leave());
    x.sent(Owed::Ready { by_sync: false });
    assert!(!x.is_about_to_leave());
}

#[test]
fn a_server_that_waits_for_the_client_does_not_work() {
    let mut x = Exchange::default();
    x.sent_unsynced();
    assert!(!x.is_working(), "a description may be on its way, and no more");
    x.sends([Frontend::Execute; 2].into_iter());
    assert!(x.is_working());
    x.received(Backend::CommandComplete, b"").unwrap();
    x.received(Backend::CopyInResponse, b"").unwrap();
    assert!(x.copies_in() && !x.is_working());
    x.copy_ended();
    assert!(x.is_working());
    x.received(Backend::CommandComplete, b"").unwrap();
    assert!(!x.is_working());
    x.sent(Owed::Ready { by_sync: true });
    assert!(x.is_working());
    x.received(Backend::ReadyForQuery, b"I").unwrap();
    assert!(!x.is_working());
}

#[test]
fn a_server_that_owes_much_is_waited_for() {
    let mut x = Exchange::default();
    (0..MOST_OWED).for_each(|_| x.sent(Owed::Close { of: Kind::Portal }));
    assert!(x.is_ready() && x.is_far_behind());
    x.received(Backend::CloseComplete, b"").unwrap();
    assert!(!x.is_far_behind());
}

#[test]
fn a_failed_simple_copy_ends_without_the_client() {
    let mut x = Exchange::default();
    x.sent(Owed::Ready { by_sync: false });
    x.received(Backend::CopyInResponse, b"").unwrap();
    x.received(Backend::ErrorResponse, b"").unwrap();
    x.received(Backend::ReadyForQuery, b"I").unwrap();
    assert!(x.is_settled());
}
