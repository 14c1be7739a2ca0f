//! The table of cases, by what they are about.

pub mod address;
pub mod calls;
pub mod denial;
pub mod health;
pub mod install;
pub mod logins;
pub mod metrics;
pub mod outage;
pub mod paths;
pub mod risk;
pub mod uploads;

/// Expands `$with!` with the name of every case, as `group: case, case;`.
///
/// A case is a `fn<D: Driver>()` in the group's module that panics when the framework does not keep
/// the promise in its name.
#[macro_export]
macro_rules! for_each_case {
    ($with:ident, $driver:ty) => {
        $with! { $driver;
            denial:
                denies_a_listed_client,
                lets_a_clean_client_in,
                lets_everybody_use_what_no_rule_covers,
                denies_as_json_by_default,
                denies_as_html_for_browsers,
                denies_head_without_a_body,
                denies_options_like_any_method,
                denies_methods_that_frameworks_need_not_know,
                names_a_new_reference_each_time,
                monitor_mode_refuses_nobody_and_shows_the_verdict,
                off_mode_asks_nobody,
                denylist_denies_without_a_check,
                allowlist_comes_before_denylist_and_service,
                rules_of_different_minimums_share_one_verdict,
                a_rule_for_one_method_leaves_the_others_alone;
            address:
                reads_no_header_by_default,
                believes_the_trusted_proxy_alone,
                cannot_be_fooled_by_what_the_client_wrote,
                reads_repeated_lines_in_order,
                does_not_look_left_of_a_bad_element,
                one_bad_byte_spoils_only_its_element,
                a_proxy_without_a_header_is_not_determinable,
                a_proxy_with_an_empty_header_is_not_determinable,
                an_unknown_client_has_a_policy_of_its_own,
                a_health_check_of_an_allowed_proxy_is_let_in,
                reads_ipv6_bracketed_and_with_a_port,
                takes_a_mapped_address_for_its_ipv4,
                listens_on_ipv6,
                a_unix_peer_is_not_determinable_unless_trusted,
                reads_forwarded_by_quotes,
                reads_a_single_address_header,
                two_lines_of_a_single_address_header_are_none,
                counts_hops_from_the_right,
                asks_about_the_ipv4_inside_an_ipv6_address,
                never_asks_about_private_clients;
            paths:
                no_spelling_of_a_path_slips_past_its_rule,
                no_generated_request_reaches_the_handler_for_a_listed_client,
                a_rule_covers_whole_segments_only,
                the_query_is_no_part_of_the_path,
                absolute_form_is_read_by_its_path,
                a_target_without_a_path_is_answered,
                an_exempt_path_is_open_to_everybody,
                an_exempt_path_opens_no_other,
                an_extractor_on_an_exempt_path_decides;
            calls:
                asks_once_and_remembers,
                a_thousand_requests_of_one_stranger_make_one_check,
                a_client_that_hangs_up_neither_cancels_nor_repeats_the_check,
                a_stale_verdict_serves_while_it_is_refreshed,
                an_expired_verdict_is_asked_for_again,
                a_changed_verdict_counts_after_the_refresh;
            outage:
                a_failing_service_lets_clients_in_by_default,
                a_failing_service_keeps_clients_out_where_the_rule_says_so,
                a_hanging_service_costs_each_client_one_wait,
                a_late_answer_counts_for_the_next_request,
                a_dead_service_is_left_alone_and_found_again,
                an_exhausted_limit_pauses_the_checks,
                no_rubbish_is_taken_for_a_verdict,
                a_listed_verdict_outlives_the_service;
            install:
                the_extractor_alone_guards_its_handler,
                the_extractor_is_a_rule_of_its_own_behind_the_middleware,
                two_extractors_take_one_decision,
                middleware_and_extractor_take_one_decision,
                a_nested_middleware_sees_the_original_path,
                the_application_may_word_the_denial_itself,
                a_missing_peer_is_not_guessed,
                a_missing_peer_is_explained_by_the_extractor,
                a_missing_guard_is_explained_by_the_extractor,
                a_websocket_passes_for_allowed_clients_only,
                a_body_streams_before_it_is_complete,
                a_body_streams_through_untouched;
            uploads:
                a_refused_client_may_write_its_whole_body_before_it_reads,
                a_client_refused_by_an_extractor_may_write_its_whole_body_before_it_reads,
                a_banned_and_an_unverified_client_may_write_before_they_read,
                a_refusal_waits_for_no_body,
                a_refused_client_need_not_wait_for_its_continuation,
                a_refused_client_is_not_asked_for_its_body,
                an_endless_body_is_cut_off,
                a_refused_request_without_a_body_keeps_its_connection;
            risk:
                a_probe_path_is_checked_before_it_is_answered,
                a_burst_of_not_found_answers_brings_the_check_forward,
                the_applications_refusals_bring_the_check_forward,
                a_served_answer_does_not,
                a_request_counts_once_behind_two_middlewares,
                an_answer_counts_behind_two_middlewares,
                what_a_client_names_itself_and_where_it_came_from_count,
                the_applications_own_word_brings_the_check_forward,
                denials_of_the_guard_are_no_signal,
                a_dropped_request_is_no_signal;
            logins:
                four_failures_are_answered_by_the_application_and_the_fifth_by_the_guard,
                the_simple_form_bans_at_the_same_failure,
                a_ban_holds_on_every_guarded_route_and_for_no_one_else,
                the_service_is_told_once_of_a_brute_force,
                a_success_forgives_failures_for_its_account_alone,
                forty_right_passwords_at_once_all_get_in,
                of_a_hundred_guesses_at_once_five_reach_the_password_check,
                rotating_inside_an_ipv6_64_does_not_help,
                a_spoofed_header_does_not_help,
                a_client_that_hangs_up_has_used_its_attempt,
                a_ban_ends,
                monitor_mode_counts_and_refuses_nobody,
                allowlisted_clients_are_never_banned,
                a_proxy_that_nobody_configured_is_not_banned,
                the_application_may_word_the_refusal_itself;
            health:
                a_fresh_app_is_ok,
                head_is_answered_like_get_and_without_a_body,
                a_service_that_is_down_is_told_and_so_is_its_return,
                a_refused_key_is_told_and_so_is_a_good_one,
                a_budget_that_is_gone_is_told_and_so_is_the_next_day,
                a_feed_that_is_refused_is_told_and_so_is_a_good_one,
                a_proxy_that_nobody_configured_is_told,
                a_trusted_proxy_that_names_nobody_is_told,
                a_header_that_cannot_be_read_is_told,
                health_checks_of_a_trusted_proxy_are_no_problem,
                nodes_that_hide_the_clients_are_told_and_not_banned,
                a_second_proxy_that_is_not_trusted_is_told_and_neither_banned_nor_reported,
                a_page_in_the_services_place_is_not_taken_for_a_refused_key,
                an_api_url_with_the_endpoint_in_it_is_told,
                a_client_that_is_not_banned_is_told,
                a_developer_on_localhost_is_no_proxy,
                visitors_behind_a_trusted_proxy_are_no_problem,
                looking_at_health_takes_no_check;
            metrics:
                decisions_are_counted_by_outcome_and_source,
                a_request_that_two_layers_look_at_is_counted_once,
                everything_is_text_that_prometheus_reads,
                scraping_takes_no_check;
        }
    };
}
