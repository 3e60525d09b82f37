"""Every metric that there is, in one table; ``ops/docs/metrics.md`` is this table in print.

Names start with ``trimtab_``, but for those that follow cAdvisor's on purpose (``cadvisor``).
Labels are bounded: kinds, states and reasons from closed sets, and names of objects, whose series vanish with them.
A revision is only a label of an info metric, which has one series.
"""

from agent.converge import signals
from agent.telemetry import cadvisor
from agent.telemetry.families import Metric, Type

_OBJECT = ("kind", "name")
_WALK = "each pass of the loop"

TABLE: tuple[Metric, ...] = (
    Metric(
        "trimtab_build_info",
        Type.GAUGE,
        ("version", "python", "runtime"),
        "The agent that is running; always 1.",
        "the program",
    ),
    Metric(
        "trimtab_object_condition",
        Type.GAUGE,
        (*_OBJECT, "type", "status"),
        "Conditions of every object: 1 for the status (True, False, Unknown) that a condition (Ready, Reconciling,"
        " Stalled) has, 0 for the others.",
        _WALK,
    ),
    Metric(
        "trimtab_object_ready_reason",
        Type.GAUGE,
        (*_OBJECT, "reason"),
        "Why an object is or is not ready; always 1, one series an object.",
        _WALK,
    ),
    Metric("trimtab_object_suspended", Type.GAUGE, _OBJECT, "1 for each object that is suspended by itself.", _WALK),
    Metric("trimtab_source_suspended", Type.GAUGE, (), "1 while the whole source is suspended.", _WALK),
    Metric("trimtab_desired_objects", Type.GAUGE, ("kind",), "Objects that are declared.", _WALK),
    Metric(
        "trimtab_observed_objects",
        Type.GAUGE,
        ("kind", "bucket"),
        "Declared and owned objects by what they are: missing, matching, drifted, stopped, failed, orphaned, foreign.",
        _WALK,
    ),
    Metric(
        "trimtab_container_info",
        Type.GAUGE,
        ("name", "image", "id", "object", "ordinal"),
        "What a declared container runs, and which instance of which object it is; always 1.",
        _WALK,
    ),
    Metric(
        "trimtab_container_state",
        Type.GAUGE,
        ("name", "state"),
        "State of every declared container: 1 for the one (missing, created, running, exited) that it is in.",
        _WALK,
    ),
    Metric(
        "trimtab_container_health",
        Type.GAUGE,
        ("name", "health"),
        "Health of every declared container that runs: 1 for the one (healthy, starting, unready, unhealthy) that"
        " it has. One without probes is healthy.",
        _WALK,
    ),
    Metric(
        "trimtab_container_restarts_total",
        Type.COUNTER,
        ("name", "reason"),
        "How often a container was started again, by reason (exit, oom, unhealthy); goes on over replacements and"
        " restarts of the agent.",
        "the journal",
    ),
    Metric(
        "trimtab_container_last_exit_code",
        Type.GAUGE,
        ("name",),
        "Exit code of the container's last end that was seen; 128 + signal where it was killed by one.",
        _WALK,
    ),
    Metric(
        "trimtab_container_oom_kills_total",
        Type.COUNTER,
        ("name",),
        "Ends of a container for want of memory, since the agent started.",
        _WALK,
    ),
    Metric(
        "trimtab_container_start_time_seconds",
        Type.GAUGE,
        ("name",),
        "When the container was last started, in seconds since the epoch.",
        _WALK,
    ),
    Metric(
        "trimtab_image_outdated",
        Type.GAUGE,
        ("name",),
        "1 while an Image that follows its registry is another one than the registry has, 0 where it is the newest.",
        "the registry's answers",
    ),
    Metric(
        "trimtab_build_duration_seconds",
        Type.HISTOGRAM,
        ("result",),
        "Length of builds of declared Images, by result: succeeded, failed.",
        "each build",
    ),
    Metric(
        "trimtab_build_steps_total",
        Type.COUNTER,
        ("name", "result"),
        "Steps of an Image's builds by result: cached (base images that were there among them), done, failed. Over"
        " Docker and Podman a whole build is one step.",
        "each build",
    ),
    Metric(
        "trimtab_build_image_size_bytes",
        Type.GAUGE,
        ("name",),
        "Size of the image that was built last for an Image, as its runtime tells: native packed, engines plain.",
        _WALK,
    ),
    Metric(
        "trimtab_images_collected_total",
        Type.COUNTER,
        (),
        "Images that were removed because the disk was filling and nobody used them.",
        "the runtime's events",
    ),
    Metric(
        "trimtab_clean_up_failures_total",
        Type.COUNTER,
        (),
        "Attempts to take away what nobody needs any more that have failed; each is tried again.",
        "the runtime's events",
    ),
    Metric(
        "trimtab_notices",
        Type.GAUGE,
        ("reason",),
        "What stands that somebody should look at: CleanUpFailed (left-overs that are tried again), RecordsDamaged"
        " (a database was put aside and made again).",
        "the runtime's notices",
    ),
    Metric(
        "trimtab_disk_size_bytes",
        Type.GAUGE,
        (),
        "Size of the file system that images and containers are on; absent where the runtime does not tell.",
        "statvfs of the root",
    ),
    Metric(
        "trimtab_disk_available_bytes",
        Type.GAUGE,
        (),
        "What is free of it, without what is reserved for others.",
        "statvfs of the root",
    ),
    Metric(
        "trimtab_image_check_timestamp_seconds",
        Type.GAUGE,
        ("name",),
        "When the registry was last asked what is newest of an Image, in seconds since the epoch.",
        "the registry's answers",
    ),
    Metric(
        "trimtab_image_check_failed",
        Type.GAUGE,
        ("name",),
        "1 where the registry did not say the last time.",
        "the registry's answers",
    ),
    Metric(
        "trimtab_probe_total",
        Type.COUNTER,
        ("name", "probe", "result"),
        "Probes of a container by kind (startup, readiness, liveness) and result (success, failure; unknown where it"
        " could not be asked).",
        "each probe",
    ),
    Metric(
        "trimtab_reconcile_duration_seconds",
        Type.HISTOGRAM,
        ("result",),
        "Length of a pass (observe, plan, report), by result (success, failure); actions go on behind it.",
        _WALK,
    ),
    Metric(
        "trimtab_reconcile_triggers_total",
        Type.COUNTER,
        ("trigger",),
        f"Passes by what asked for them: {', '.join(signals.Trigger)}.",
        _WALK,
    ),
    Metric(
        "trimtab_reconcile_last_success_timestamp_seconds",
        Type.GAUGE,
        (),
        "When the host was last seen to be as declared: nothing to do, nothing under way, nothing waiting. Until that"
        " has happened once, when the agent started.",
        _WALK,
    ),
    Metric(
        "trimtab_convergence_duration_seconds",
        Type.HISTOGRAM,
        (),
        "From reading a revision to all of it being brought about.",
        "the first time that a revision is applied",
    ),
    Metric(
        "trimtab_actions_total",
        Type.COUNTER,
        ("action", "result"),
        "Actions by kind and result: succeeded, failed, skipped (one before it failed), superseded (no longer wanted).",
        "each action",
    ),
    Metric(
        "trimtab_action_duration_seconds",
        Type.HISTOGRAM,
        ("action",),
        "Length of actions that were performed, failed ones included.",
        "each action",
    ),
    Metric("trimtab_objects_in_flight", Type.GAUGE, (), "Objects that are being worked on.", _WALK),
    Metric("trimtab_plan_steps", Type.GAUGE, (), "Actions of the last plan.", _WALK),
    Metric(
        "trimtab_plan_blocked_objects",
        Type.GAUGE,
        ("reason",),
        "Objects that the last plan could not bring about, by what they wait for.",
        _WALK,
    ),
    Metric(
        "trimtab_drift_found_total",
        Type.COUNTER,
        ("kind",),
        "Objects found removed, changed or killed behind the agent's back. A container that exits by itself, with"
        " whatever code or for want of memory, is none; one that SIGKILL or SIGTERM has ended, or whose end nobody saw,"
        " is.",
        _WALK,
    ),
    Metric("trimtab_relist_age_seconds", Type.GAUGE, (), "Since the runtime was last looked at as a whole.", _WALK),
    Metric(
        "trimtab_event_stream_up",
        Type.GAUGE,
        (),
        "Whether the runtime's events come in; without them changes are found at the next relist.",
        "the event stream",
    ),
    Metric(
        "trimtab_revision_info",
        Type.GAUGE,
        ("revision",),
        "The revision that was last brought about completely; always 1.",
        _WALK,
    ),
    Metric(
        "trimtab_source_revision_info",
        Type.GAUGE,
        ("source", "revision"),
        "The revision that was last read, be it good or bad; always 1.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_reads_total",
        Type.COUNTER,
        ("result",),
        "Looks at the source: good, rejected (it has problems), failed (it could not be read). Each look counts, also"
        " where nothing has changed since the last one.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_problems",
        Type.GAUGE,
        (),
        "Problems in the manifests as last read; while there are any, the last good revision stands, if there is one.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_empty",
        Type.GAUGE,
        (),
        "1 while the source declares nothing although something runs: nothing is removed by that.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_last_read_timestamp_seconds",
        Type.GAUGE,
        (),
        "When the source was last read without a failure, be it unchanged and be its manifests good or bad.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_last_attempt_timestamp_seconds",
        Type.GAUGE,
        (),
        "When the last look at the source ended, whatever came of it.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_source_up",
        Type.GAUGE,
        (),
        "1 where the last look at the source has read it, 0 where it failed.",
        "each reading of the source",
    ),
    Metric(
        "trimtab_journal_errors_total",
        Type.COUNTER,
        (),
        "Writes to the journal that failed: a full disk, most of all.",
        "the journal",
    ),
    Metric(
        "trimtab_log_lines_dropped_total",
        Type.COUNTER,
        (),
        "Lines of the agent's own log that were dropped, because whoever reads its stderr was too far behind.",
        "the log's stream",
    ),
    Metric(
        "trimtab_internal_errors_total",
        Type.COUNTER,
        (),
        "Errors that nobody expected: each is worth a report.",
        "background tasks",
    ),
    *cadvisor.TABLE,
)
"""In the order in which they are exposed and documented. The client library's ``process_*`` come on top."""

BY_NAME = {metric.name: metric for metric in TABLE}

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.0384, 0.1472, 0.5648, 2.167, 8.313, 31.89, 122.3, 469.3, 1800.0)
"""Upper bounds of the histograms' buckets, in seconds: Flux's from 10 ms to half an hour, and finer ones below it."""
