#!/usr/bin/env python3
"""The oracle against cases worked out by hand."""

import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import oracle


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.write("dim_hbase.csv", "rowkey,cf:module_id\n1,0000\n2,0001\n3,zero\n4,\n5,1\n")

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def put(self, topic, *partitions):
        for partition, records in enumerate(partitions):
            lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
            self.write(f"{topic}/{partition}.jsonl", "".join(line + "\n" for line in lines))

    def rows(self, metric, *options):
        out = io.StringIO()
        oracle.main(["--topics", str(self.root), "--dimensions", str(self.root), *options, metric], out)
        return [json.loads(line)[1:] for line in out.getvalue().splitlines()]


class Gifts(Case):
    def put_gifts(self, *partitions):
        self.put("live_gift_total", *partitions)

    def test_sums_are_by_type_over_all_partitions_and_nulls_do_not_add(self):
        self.put_gifts(
            [{"gift_type": 1, "gift_total_amount": 5}, {"gift_type": 2, "gift_total_amount": None}],
            [{"gift_type": 1, "gift_total_amount": 7}, {"gift_type": 1}, {"gift_type": 10, "gift_total_amount": -1}])
        self.assertEqual(self.rows("gift_sum"), [["1", 12], ["10", -1], ["2", None]])

    def test_a_row_without_a_key_is_not_stored(self):
        self.put_gifts([{"gift_total_amount": 5}, {"user_id": 9, "gift_type": None, "gift_total_amount": 1}])
        self.assertEqual(self.rows("gift_sum"), [])
        self.assertEqual(self.rows("gift_by_user"), [[9, 1]])

    def test_minutes_are_cut_not_rounded_and_a_bad_time_costs_its_row_only(self):
        times = ["2021-08-16 09:46:00", "2021-08-16 09:46:59.999", "2021-08-16 09:47:00", "2021-02-30 00:00:00", "soon"]
        self.put_gifts([{"create_time": time, "gift_total_amount": 1} for time in times])
        self.assertEqual(self.rows("gift_by_minute"),
                         [["2021-08-16 09:46:00.000000", 2], ["2021-08-16 09:47:00.000000", 1]])

    def test_a_sum_beyond_int64_is_an_error(self):
        self.put_gifts([{"gift_type": 1, "gift_total_amount": 2**63 - 1}, {"gift_type": 1, "gift_total_amount": 1}])
        with self.assertRaises(OverflowError):
            self.rows("gift_sum")

    def test_texts_of_digits_are_numbers_and_the_last_of_two_fields_counts(self):
        self.put_gifts([{"gift_type": " 7 ", "gift_total_amount": "3"}, '{"gift_type":1,"gift_type":7,"gift_total_amount":4}'])
        self.assertEqual(self.rows("gift_sum"), [["7", 7]])

    def test_what_does_not_parse_fails_the_job_or_is_null_or_left_out(self):
        bad = ['{"gift_type":1', "[]", '{"gift_type":"x","gift_total_amount":1}', '{"gift_type":9223372036854775808}',
               '{"gift_type":1.5}', '{"gift_type":true}', '{"gift_type":{}}', '{"gift_type":NaN}']
        for record in bad:
            with self.subTest(record):
                self.put_gifts([record, {"gift_type": 1, "gift_total_amount": 1}])
                with self.assertRaises(oracle.Malformed):
                    self.rows("gift_sum")
                self.assertEqual(self.rows("gift_sum", "--ignore-parse-errors"), [["1", 1]])


class Entries(Case):
    ENTRY = {"user_id": 3165, "ip": "123.0.0.105", "room_id": 20210813, "arrive_time": "2021-08-16 09:48:01",
             "create_time": "2021-08-16 09:48:02", "leave_time": "2021-08-16 09:48:03.5", "region": 1122, "grade": 1,
             "province": "浙江"}
    ROW = [3165, "123.0.0.105", "20210813", "2021-08-16 09:48:01.000000", "2021-08-16 09:48:03.500000",
           "2021-08-16 09:48:02.000000", None, 1, "浙江"]

    def put_entries(self, *entries):
        self.put("live_streaming_log", [dict(self.ENTRY, **entry) for entry in entries])

    def test_the_originals_entry_is_cleaned_with_its_region_null(self):
        self.put_entries({})
        self.assertEqual(self.rows("live_cleanup"), [self.ROW])

    def test_the_region_is_there_where_it_is_mapped(self):
        self.put_entries({})
        self.assertEqual(self.rows("live_cleanup", "--region-field", "region")[0][6], "1122")

    def test_the_latest_row_of_a_key_wins_as_a_whole(self):
        self.put_entries({"grade": 2}, {"grade": None, "province": None})
        self.assertEqual(self.rows("live_cleanup"), [self.ROW[:7] + [None, None]])

    def test_a_null_user_is_zero_and_a_null_in_the_rest_of_the_key_costs_the_row(self):
        self.put_entries({"user_id": None}, {"ip": None}, {"room_id": None}, {"arrive_time": None})
        self.assertEqual(self.rows("live_cleanup"), [[0] + self.ROW[1:]])

    def test_a_bad_time_costs_the_row_and_a_null_one_does_not(self):
        self.put_entries({"leave_time": "2021-08-16"}, {"user_id": 1, "leave_time": None})
        self.assertEqual(self.rows("live_cleanup"), [[1] + self.ROW[1:4] + [None] + self.ROW[5:]])

    def test_entries_are_counted_by_module_where_the_room_is_known(self):
        self.put_entries({"room_id": 1}, {"room_id": 2}, {"room_id": 5}, {"room_id": 6}, {"room_id": None})
        self.assertEqual(self.rows("module_count"), [[0, 1], [1, 2]])

    def test_null_users_do_not_count_but_their_module_is_there(self):
        self.put_entries({"room_id": 1, "user_id": None}, {"room_id": 2}, {"room_id": 2, "user_id": None})
        self.assertEqual(self.rows("module_count"), [[0, 0], [1, 1]])

    def test_a_module_that_is_no_number_or_not_there_has_no_row(self):
        self.put_entries({"room_id": 3}, {"room_id": 4})
        self.assertEqual(self.rows("module_count"), [])


class Windows(Case):
    def gifts(self, *partitions):
        self.put("live_gift_total", *([{"gift_type": gift, "gift_total_amount": amount, "create_time": f"2021-08-16 {time}"}
                                       for gift, time, amount in gifts] for gifts in partitions))
        return [[row[0], row[1][11:19], row[2][11:19], row[3]] for row in self.rows("gift_by_ten_minutes")]

    def entries(self, *partitions):
        self.put("live_streaming_log", *([{"user_id": user, "arrive_time": f"2021-08-16 {time}"} for user, time in entries]
                                         for entries in partitions))
        return [[row[0], row[1][11:19], row[2][11:19], *row[3:]] for row in self.rows("viewing_sessions")]

    def test_ten_minutes_begin_at_whole_ones_and_end_before_the_next(self):
        self.assertEqual(self.gifts([(1, "09:40:00", 1), (1, "09:49:59.999", 2), (1, "09:50:00", 4), (2, "09:49:00", None)]),
                         [["1", "09:40:00", "09:50:00", 3], ["1", "09:50:00", "10:00:00", 4], ["2", "09:40:00", "09:50:00", None]])

    def test_a_gift_counts_until_an_hour_and_a_minute_after_its_window_of_its_own_partition_only(self):
        self.assertEqual(self.gifts([(1, "11:00:59", 1), (1, "09:59:00", 2), (1, "11:01:00", 4), (1, "09:59:00", 8)], [(1, "09:59:00", 16)]),
                         [["1", "09:50:00", "10:00:00", 18], ["1", "11:00:00", "11:10:00", 5]])

    def test_a_gift_without_a_type_or_a_readable_time_is_in_no_window_and_does_not_move_time(self):
        self.put("live_gift_total", [{"create_time": "2031-08-16 09:40:00"}, {"gift_type": 1, "create_time": "soon"}, "[]",
                                     {"gift_type": 1, "create_time": "2021-08-16 09:40:00", "gift_total_amount": 1}])
        self.assertEqual(len(self.rows("gift_by_ten_minutes")), 1)

    def test_a_session_goes_on_for_less_than_a_minute_and_is_there_once_time_has_passed_it(self):
        self.assertEqual(self.entries([(1, "09:00:00"), (2, "09:00:00"), (1, "09:00:59.999"), (2, "09:01:00"), (3, "09:02:10")]),
                         [[1, "09:00:00", "09:01:59", 2, 59], [2, "09:00:00", "09:01:00", 1, 0], [2, "09:01:00", "09:02:00", 1, 0]])

    def test_entries_join_sessions_in_any_order_unless_they_are_over_ten_seconds_late(self):
        entries = [(1, "09:00:00"), (1, "09:01:10"), (1, "09:00:40"), (2, "09:01:00"), (2, "09:00:59"), (3, "10:00:00")]
        self.assertEqual(self.entries(entries), [[1, "09:00:00", "09:01:00", 1, 0], [1, "09:01:10", "09:02:10", 1, 0],
                                                 [2, "09:01:00", "09:02:00", 1, 0]])
        entries[2] = (1, "09:01:00")
        entries[0] = (1, "09:00:30")
        self.assertEqual(self.entries(entries)[0], [1, "09:00:30", "09:02:10", 3, 40])

    def test_no_session_is_over_while_a_partition_has_shown_no_time(self):
        self.assertEqual(self.entries([(1, "09:00:00"), (1, "10:00:00")], []), [])


if __name__ == "__main__":
    unittest.main()
