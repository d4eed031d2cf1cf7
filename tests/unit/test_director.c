/* director: the preview's table and the rules for restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../cmd/rv-ctl/director.c"

static void goes(enum preview_state from, enum preview_event event,
                 enum preview_state to, enum preview_action action)
{
    const struct preview_step step = preview_step(from, event);

    assert_int_equal(step.next, to);
    assert_int_equal(step.action, action);
}

static void a_preview_is_loaded_switched_and_reported(void **state)
{
    (void)state;
    goes(PREVIEW_NONE, EVENT_LOAD, PREVIEW_NONE, ACTION_OPEN);
    goes(PREVIEW_NONE, EVENT_OPENED, PREVIEW_LOADED, ACTION_REPLACE);
    goes(PREVIEW_LOADED, EVENT_SWITCH_READY, PREVIEW_CUTTING, ACTION_CUT);
    goes(PREVIEW_CUTTING, EVENT_TAKEN, PREVIEW_LIVE, ACTION_REPORT);
    goes(PREVIEW_LIVE, EVENT_SWITCH_READY, PREVIEW_LIVE, ACTION_REPORT);
}

static void a_switch_that_comes_early_is_armed_and_fires(void **state)
{
    (void)state;
    goes(PREVIEW_LOADED, EVENT_SWITCH_EARLY, PREVIEW_ARMED, ACTION_NOT_READY);
    goes(PREVIEW_ARMED, EVENT_LOAD, PREVIEW_ARMED, ACTION_BUSY);
    goes(PREVIEW_ARMED, EVENT_READY, PREVIEW_CUTTING, ACTION_CUT);
    goes(PREVIEW_ARMED, EVENT_GONE, PREVIEW_NONE, ACTION_DROP);
}

static void a_switch_without_a_preview_is_refused(void **state)
{
    (void)state;
    goes(PREVIEW_NONE, EVENT_SWITCH_READY, PREVIEW_NONE, ACTION_NO_PREVIEW);
    goes(PREVIEW_NONE, EVENT_SWITCH_EARLY, PREVIEW_NONE, ACTION_NO_PREVIEW);
}

static void a_live_preview_makes_room_for_the_next(void **state)
{
    (void)state;
    goes(PREVIEW_LIVE, EVENT_LOAD, PREVIEW_LIVE, ACTION_OPEN);
    goes(PREVIEW_LIVE, EVENT_OPENED, PREVIEW_LOADED, ACTION_REPLACE);
}

static void three_quick_deaths_cost_a_second(void **state)
{
    struct restart restart = { 0 };
    int64_t now = 50000000;

    (void)state;
    for (int i = 0; i < 2; i++) {
        restart_begins(&restart, now);
        now += 10000;
        assert_int_equal(restart_when(&restart, now), now);
    }
    restart_begins(&restart, now);
    assert_int_equal(restart_when(&restart, now + 1), now + 1 + 1000000);
    /* One that lived a while is forgiven. */
    restart_begins(&restart, now);
    now += 2000000;
    assert_int_equal(restart_when(&restart, now), now);
    restart_begins(&restart, now);
    assert_int_equal(restart_when(&restart, now + 1), now + 1);
}

static void a_hang_is_silence_while_a_frame_is_due(void **state)
{
    (void)state;
    assert_true(is_hung(1000000, true, 2000001));
    assert_false(is_hung(1000000, true, 2000000));
    assert_false(is_hung(1000000, false, 9000000));
    /* stopped together with those it watches */
    struct watch watch = { 0 };
    watch_turn(&watch, 1000000);
    watch_turn(&watch, 1100000);
    assert_false(watch_is_patient(&watch, 1100000));
    watch_turn(&watch, 9000000);
    assert_true(watch_is_patient(&watch, 10999999));
    watch_turn(&watch, 9100000);
    assert_false(watch_is_patient(&watch, 11000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preview_is_loaded_switched_and_reported),
        cmocka_unit_test(a_switch_that_comes_early_is_armed_and_fires),
        cmocka_unit_test(a_switch_without_a_preview_is_refused),
        cmocka_unit_test(a_live_preview_makes_room_for_the_next),
        cmocka_unit_test(three_quick_deaths_cost_a_second),
        cmocka_unit_test(a_hang_is_silence_while_a_frame_is_due),
    };

    return cmocka_run_group_tests_name("director", tests, NULL, NULL);
}
