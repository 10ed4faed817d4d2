"""Of forty cases each is a test: here, or elsewhere in the suite, and then it is listed here.

The cases, what must hit and what must miss, are those of the design of the cache. 1 to 20 are
edits, read in a fresh kernel with another hash seed; 21 to 30 values; 31 to 37 faults; 38 to 40
cells under `%%task`.
"""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent

COVERED = {
    3: [  # what is computed is told by the same digests in every Python that CI runs
        "caching/test_digests_vectors.py::test_a_digest_is_what_it_was",
        "caching/test_syntax.py::test_frozen_vectors",
    ],
    31: [  # kill -9
        "caching/test_faults_disk.py::test_a_kill_in_the_middle_of_a_large_write",
        "caching/test_filestore.py::test_what_killed_processes_left_is_swept",
        "caching/test_faults.py::test_whole_files_that_a_killed_process_left_without_a_row_are_taken_in",
    ],
    32: [  # damaged, swapped and deleted payloads
        "caching/test_faults.py::test_a_damaged_payload_is_a_miss_and_is_replaced",
        "caching/test_faults.py::test_swapped_rows_and_swapped_files_are_misses",
        "caching/test_filestore.py::test_a_flipped_bit_anywhere_is_a_miss",
        "caching/test_filestore.py::test_a_file_cut_anywhere_is_a_miss",
        "caching/test_filestore.py::test_files_of_other_keys_are_misses_and_set_aside",
    ],
    33: [  # a full disk
        "caching/test_faults_disk.py::test_a_full_disk_costs_nothing_but_the_result",
        "caching/test_faults_disk.py::test_a_file_that_may_not_grow_is_cleaned_up",
    ],
    34: [  # a damaged index, a directory that is gone or read-only
        "caching/test_faults.py::test_a_damaged_index_is_replaced_and_filled_from_the_files",
        "caching/test_faults.py::test_an_index_damaged_while_open_does_not_stop_the_session",
        "caching/test_faults_disk.py::test_a_directory_deleted_in_mid_session_is_made_again",
        "caching/test_faults_disk.py::test_a_directory_that_becomes_read_only_and_writable_again",
    ],
    35: [  # a hostile index
        "caching/test_faults.py::test_a_hostile_index_cannot_have_files_deleted_or_read",
        "caching/test_faults.py::test_pickled_values_of_a_hostile_index_are_never_loaded",
        "caching/test_faults.py::test_pickled_keys_of_a_hostile_index_are_never_loaded",
        "caching/test_faults.py::test_settings_in_the_index_do_not_steer_the_store",
    ],
    36: [  # a bundle of somebody else
        "share/test_exchange.py::test_data_of_others_is_reused_and_pickles_after_trust",
        "share/test_exchange.py::test_a_frame_of_others_is_reused",
        "share/test_exchange.py::test_a_byte_changed_in_the_manifest_revokes_trust",
        "share/test_exchange.py::test_files_of_a_project_grant_nothing",
        "caching/test_bundles.py::test_what_a_run_showed_comes_along_and_of_others_only_what_cannot_run",
    ],
    37: [  # kernels that want one key
        "test_single_flight.py::test_eight_kernels_compute_once",
        "test_single_flight.py::test_a_holder_that_is_killed_is_followed_within_seconds",
        "test_single_flight.py::test_a_holder_that_was_stopped_and_goes_on_does_no_harm",
        "caching/test_store.py::test_a_forked_child_can_read_and_write_while_the_parent_writes",
        "caching/test_locks.py::test_a_forked_child_holds_nothing_and_can_lock",
    ],
    38: [  # a plain cell
        "notebook/test_celltask_kernel.py::test_a_hit_after_a_restart_shows_everything_again",
        "notebook/test_celltask.py::test_what_a_cell_showed_is_shown_again_in_order",
        "notebook/test_celltask.py::test_x_equals_x_plus_1_goes_on_as_it_does_uncached",
        "notebook/test_celltask.py::test_a_hit_leaves_what_the_run_left",
    ],
    39: [  # changes in place, aliasing, classes and functions of a cell
        "notebook/test_celltask.py::test_what_cannot_be_kept_runs_and_says_why",
        "notebook/test_celltask.py::test_a_copy_at_the_start_makes_a_cell_reusable",
        "notebook/test_celltask.py::test_views_of_an_input_are_views_of_the_live_one",
        "notebook/test_celltask.py::test_a_hit_leaves_what_the_run_left",
    ],
    40: [  # what is not stored
        "notebook/test_celltask.py::test_what_cannot_be_kept_runs_and_says_why",
        "notebook/test_celltask.py::test_what_cannot_be_keyed_runs_uncached_and_says_why",
        "notebook/test_celltask.py::test_a_failed_cell_is_not_kept_and_its_traceback_is_at_its_line",
        "notebook/test_celltask_kernel.py::test_stop_stops_a_cell_and_nothing_is_kept",
        "notebook/test_celltask.py::test_seeds_are_sown_again_and_mere_draws_hinted_at_once",
    ],
}


def names_in(path: Path) -> set[str]:
    """Return the names of the tests that a file defines at its top, those always skipped not."""
    skipping = {"skip", "xfail"}
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(set(re.findall(r"\w+", ast.unparse(d))) & skipping for d in node.decorator_list)
    }


@pytest.mark.parametrize("case", COVERED)
def test_what_a_case_is_left_to_exists(case: int) -> None:
    for place in COVERED[case]:
        file, _, name = place.partition("::")
        assert name in names_in(TESTS / file), place


def test_each_of_the_forty_cases_is_a_test() -> None:
    names = {name for path in HERE.glob("test_*.py") for name in names_in(path)}
    here = {int(found[1]) for name in names if (found := re.match(r"test_case_(\d\d)_", name))}
    assert here | set(COVERED) == set(range(1, 41))
