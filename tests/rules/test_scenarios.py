"""What a site lives through, as transcripts (see `transcript`)."""

from gateway.model import AlarmClass
from rules.spec import Above, All, Any, Below, Equals, KOfN, Not, Rate, Stale
from tests.rules.transcript import alarm, play


def test_the_first_frame_raises_and_two_clear():
    """Towards alarm the first valid frame counts, towards normal two."""
    play(
        """
        0   smoke 1
        1   smoke 6      => fire AB sample
        2   smoke 1
        3   smoke 6
        4   smoke 1
        5   smoke 1      => fire BD sample
        6   acknowledge fire  => fire DA command
        """,
        alarm(Above("smoke/0", 5)),
    )


def test_an_uncertain_value_raises_and_never_clears():
    """Law 1: implausible keeps its value, may raise, never clears; after it two good frames are needed."""
    play(
        """
        0   smoke 6?     => fire AB sample
        1   smoke 1?
        2   smoke 1?
        3   smoke 1
        4   smoke 1?
        5   smoke 1
        6   smoke 1      => fire BD sample
        """,
        alarm(Above("smoke/0", 5)),
    )


def test_a_bad_value_neither_raises_nor_clears():
    """Unknown is never normal."""
    play(
        """
        0   smoke -
        1   smoke 6      => fire AB sample
        2   smoke -
        3   smoke -
        4   smoke 1
        5   smoke -
        6   smoke 1
        7   smoke 1      => fire BD sample
        """,
        alarm(Above("smoke/0", 5)),
    )


def test_hysteresis_keeps_a_hovering_level_in_one_alarm():
    """False again only below limit - hysteresis."""
    play(
        """
        0   smoke 4.9
        1   smoke 5.1    => fire AB sample
        2   smoke 4.6
        3   smoke 4.5
        4   smoke 4.6
        5   smoke 4.4
        6   smoke 4.4    => fire BD sample
        7   smoke 4.6
        """,
        alarm(Above("smoke/0", 5, 0.5)),
    )


def test_on_delay_waits_and_fires_by_itself_at_its_deadline():
    """A door left open for 30 s; the deadline, not the next scan, raises."""
    play(
        """
        0   door 1
        10  door 0
        11  door 1
        40  .
        41  .            => open AB deadline
        """,
        alarm(Equals("door/0", 1), "open", on_delay_s=30),
    )


def test_an_unknown_holds_a_running_on_delay_without_firing():
    """While the device is silent nothing fires; when it is back and still true, the time that passed counts."""
    play(
        """
        0   door 1
        20  door -
        35  .
        36  door 0?
        37  door -
        40  door 1       => open AB sample
        """,
        alarm(Equals("door/0", 1), "open", on_delay_s=30),
    )


def test_an_unknown_starts_a_running_off_delay_anew():
    """Only an unbroken falseness clears."""
    play(
        """
        0   smoke 6      => fire AB sample
        1   smoke 1
        2   smoke 1
        8   smoke -
        9   smoke 1
        10  smoke 1
        12  .
        18  .
        19  .            => fire BD deadline
        """,
        alarm(Above("smoke/0", 5), off_delay_s=10),
    )


def test_an_off_delay_that_ends_on_one_frame_waits_for_the_second():
    """Even a long off-delay does not rest on a single frame."""
    play(
        """
        0   smoke 6      => fire AB sample
        1   smoke 1
        11  .
        12  smoke 1      => fire BD sample
        """,
        alarm(Above("smoke/0", 5), off_delay_s=10),
    )


def test_latching_fire_is_reset_only_when_known_to_be_over():
    """E and F need a person; a fire cannot be reset while its condition is not known to be false."""
    play(
        """
        0   smoke 6      => fire AB sample
        1   reset fire   => refused
        2   acknowledge fire  => fire BC command
        3   acknowledge fire  => refused
        4   smoke 1
        5   smoke 1      => fire CF sample
        6   smoke -
        7   reset fire   => refused
        8   smoke 1
        9   reset fire   => refused
        10  smoke 1
        11  reset fire   => fire FA command
        12  reset fire   => refused
        13  acknowledge fire  => refused
        """,
        alarm(Above("smoke/0", 5), cls=AlarmClass.FIRE, latching=True),
    )


def test_unacknowledged_latch_can_be_reset_first_or_acknowledged_first():
    """E - reset - D - acknowledge - A, and E - acknowledge - F - reset - A; a true condition leads back to B."""
    play(
        """
        0   gauge 1      => wet AB sample
        1   gauge 0
        2   gauge 0      => wet BE sample
        3   reset wet    => wet ED command
        4   reset wet    => refused
        5   acknowledge wet   => wet DA command
        6   gauge 1      => wet AB sample
        7   gauge 0
        8   gauge 0      => wet BE sample
        9   gauge 1      => wet EB sample
        10  gauge 0
        11  gauge 0      => wet BE sample
        12  acknowledge wet   => wet EF command
        13  gauge 1      => wet FB sample
        14  gauge 0
        15  gauge 0      => wet BE sample
        16  acknowledge wet   => wet EF command
        17  gauge -
        18  reset wet    => wet FA command
        """,
        alarm(Equals("gauge/0", 1), "wet", latching=True),
    )


def test_a_fire_is_confirmed_by_a_second_detector_of_the_zone_within_a_minute():
    """GB 50116 4.1.6: two independent signals, though perhaps not at once."""
    play(
        """
        0   a 1
        0   b 1
        10  a 6
        11  a 6
        12  a 1
        13  a 1
        71  b 6          => fire AB sample
        72  b 1
        73  .            => fire BD deadline
        74  b 1
        """,
        alarm(KOfN(2, (Above("a/0", 5), Above("b/0", 5)), 60)),
    )


def test_two_detectors_more_than_the_window_apart_confirm_nothing():
    play(
        """
        0   a 6
        1   b 1
        2   a 1
        62  b 6
        """,
        alarm(KOfN(2, (Above("a/0", 5), Above("b/0", 5)), 60)),
    )


def test_coincidence_of_two_devices_clears_when_both_frames_of_the_decisive_one_agree():
    """Door open while its lock is engaged: two frames of the door are enough, however rarely the lock is read."""
    said = play(
        """
        0   lock 1
        1   door 1       => forced AB sample
        2   door 0
        3   door 0       => forced BD sample
        """,
        alarm(All((Equals("door/0", 1), Equals("lock/0", 1))), "forced"),
    )
    assert [transition.cause.point for transition in said] == ["door/0", "door/0"]


def test_any_of_two_devices_clears_only_when_each_has_two_false_frames():
    """One false frame of the slower device is not covered by two of the faster one."""
    play(
        """
        0   a 6          => fire AB sample
        0   b 6
        1   a 1
        2   a 1
        3   b 1
        4   a 1
        5   a 1
        6   b 1          => fire BD sample
        """,
        alarm(Any((Above("a/0", 5), Above("b/0", 5)))),
    )


def test_an_uncertain_value_under_not_never_clears_either():
    """`not` keeps doubt: an uncertain true inside is an uncertain false outside."""
    play(
        """
        0   flow 0       => dry AB sample
        1   flow 9?
        2   flow 9?
        3   flow 9
        4   flow 9       => dry BD sample
        """,
        alarm(Not(Above("flow/0", 5)), "dry"),
    )


def test_silence_is_an_alarm_by_itself_and_two_frames_end_it():
    """A dead device is noticed without any event; the evidence is what was heard last, with its own time."""
    said = play(
        """
        0   tilt 1 -
        2   tilt - -
        3   .            => silent AB deadline
        4   tilt - -
        5   tilt - 2
        6   tilt 1 -     => silent BD sample
        """,
        alarm(Stale("tilt/*", 3), "silent"),
    )
    assert (said[0].cause.sample.point, said[0].cause.sample.at) == ("tilt/0", 0.0)
    assert said[0].at == 3.0
    assert said[1].cause.point == "tilt/0"


def test_a_device_that_was_never_heard_is_silent_from_the_start():
    said = play("0 .\n3 . => silent AB deadline\n4 tilt 1", alarm(Stale("tilt/*", 3), "silent"))
    assert said[0].cause.sample is None


def test_an_uncertain_value_breaks_the_silence_but_does_not_clear_it():
    """It keeps a silence alarm from being raised; it does not end one (law 1)."""
    play(
        """
        0   tilt 1?
        2   tilt 1?
        4   tilt 1?
        7   .            => silent AB deadline
        8   tilt 1?
        9   tilt 1?
        10  tilt 1
        11  tilt 1       => silent BD sample
        """,
        alarm(Stale("tilt/0", 3), "silent"),
    )


def test_creep_is_raised_by_the_rate_of_change_in_its_direction_only():
    """Half a window must be filled first; falling fast is not rising fast."""
    play(
        """
        0   tilt 0
        2   tilt 4
        4   tilt 8
        6   tilt 12      => creep AB sample
        8   tilt 12
        10  tilt 12
        12  tilt 12
        14  tilt 12
        16  tilt 12
        18  tilt -50
        """,
        alarm(Rate("tilt/0", 1.5, 12), "creep", latching=False, off_delay_s=100),
    )
    play(
        """
        0   tilt 0
        3   tilt -2
        6   tilt -12     => fall AB sample
        7   tilt -
        """,
        alarm(Rate("tilt/0", -1.5, 12), "fall"),
    )


def test_a_restart_in_an_alarm_is_still_that_alarm():
    """No second transition, no clearing by ignorance; two fresh frames clear."""
    said = play(
        """
        0   smoke 6      => fire AB sample
        1   acknowledge fire => fire BC command
        2   restart
        3   smoke -
        4   smoke 6
        5   restart
        6   smoke 1
        7   restart
        8   smoke 1
        9   smoke 1      => fire CA sample
        """,
        alarm(Above("smoke/0", 5)),
    )
    assert said[-1].since == 0.0


def test_times_move_with_the_clock_of_a_new_boot():
    """`shift_s` carries `since` and a running delay over a reboot."""
    said = play(
        """
        5   door 1
        8   restart 1000
        9   .
        36  door 1       => open AB sample
        37  restart -500
        38  door 0
        39  door 0       => open BD sample
        """,
        alarm(Equals("door/0", 1), "open", on_delay_s=30),
    )
    assert said[0].at == 1036.0
    assert said[1].since == 536.0


def test_a_silence_that_was_known_before_a_restart_is_not_raised_again():
    """Nor is it cleared because a new engine has not been waiting for long."""
    play(
        """
        0   tilt 1
        3   .            => silent AB deadline
        4   restart
        5   tilt -
        6   tilt 1
        7   restart
        8   .
        9   tilt 1
        10  tilt 1       => silent BD sample
        """,
        alarm(Stale("tilt/0", 3), "silent"),
    )


def test_a_silence_with_an_on_delay_goes_on_over_a_restart():
    """Silent since 3, raised at 13 although the device has not been heard since the restart."""
    play(
        """
        0   tilt 1
        3   .
        4   restart
        5   tilt -
        12  .
        13  .            => silent AB deadline
        """,
        alarm(Stale("tilt/0", 3), "silent", on_delay_s=10),
    )


def test_a_remembered_detector_counts_over_a_restart():
    """The first detector burnt while the gateway restarted; the second one still confirms."""
    play(
        """
        0   a 6
        0   b 1
        30  a 6
        31  restart
        33  a -
        40  b 6          => fire AB sample
        """,
        alarm(KOfN(2, (Above("a/0", 5), Above("b/0", 5)), 60)),
    )
    play(
        """
        0   a 6
        0   b 1
        1   a 1
        2   restart
        62  b 6
        """,
        alarm(KOfN(2, (Above("a/0", 5), Above("b/0", 5)), 60)),
    )


def test_hysteresis_is_remembered_over_a_restart():
    play(
        """
        0   smoke 6      => fire AB sample
        1   restart
        2   smoke 4.8
        3   smoke 4.8
        4   smoke 4.4
        5   smoke 4.4    => fire BD sample
        """,
        alarm(Above("smoke/0", 5, 0.5)),
    )


def test_one_scan_moves_several_alarms_in_the_order_of_the_site():
    play(
        """
        0   smoke 9 0.1  => high AB sample, low AB sample
        """,
        alarm(Above("smoke/0", 5), "high"),
        alarm(Below("smoke/1", 1), "low"),
    )


def test_deadlines_that_lie_before_a_scan_are_worked_off_first_at_their_own_times():
    """A late wake-up changes nothing but the moment at which it is said."""
    said = play(
        """
        0   door 1 0
        50  door 0 0     => slow AB deadline, slower AB deadline
        51  door 0 0     => slower BD sample, slow BD sample
        """,
        alarm(Equals("door/0", 1), "slower", on_delay_s=20),
        alarm(Equals("door/0", 1), "slow", on_delay_s=10),
    )
    assert [transition.at for transition in said] == [10.0, 20.0, 51.0, 51.0]
    assert said[0].cause.sample.at == 0.0


def test_two_of_two_ends_when_the_first_of_them_leaves_the_window():
    """Without any reading: the deadline is the earlier part's, not the later one's; surely so at 72, since two frames agree."""
    play(
        """
        0   a 1
        0   b 1
        10  a 6
        11  a 1
        12  a 1
        20  b 6          => fire AB sample
        21  b 1
        22  b 1
        71  .
        72  .            => fire BD deadline
        """,
        alarm(KOfN(2, (Above("a/0", 5), Above("b/0", 5)), 60)),
    )


def test_an_off_delay_that_was_broken_off_is_forgotten():
    """Its end comes and nothing happens: neither does the alarm clear, nor is it looked at for ever."""
    play(
        """
        0   smoke 6      => fire AB sample
        1   smoke 1
        2   smoke 1
        5   smoke 6
        11  .
        30  .
        """,
        alarm(Above("smoke/0", 5), off_delay_s=10),
    )
