/*
 * worker.c
 *		The background worker: what has to be done when nobody asks for it.
 *
 * It calls functions of the extension, those that are there, each in a
 * transaction of its own, as the extension's owner; what they do is their
 * business.  A poll is the guarantee.  Where the library is preloaded, a new
 * mark price sets the worker's latch when it commits: a hint.
 *
 * One worker for a database: the lock on it is in a space that SQL cannot
 * reach, and pg_locks says who has it.  A worker that is told to end exits
 * with 0 and stays away; one that crashes comes back.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker.h"

PG_FUNCTION_INFO_V1(risk_launch_worker);
PG_FUNCTION_INFO_V1(risk_end_worker);
PG_FUNCTION_INFO_V1(risk_wake_worker);

extern PGDLLEXPORT void risk_worker_main(Datum database);

#define WORKER_LOCK			1919513451	/* with pg_extension's oid, in risk.worker_pid(), too */
#define RESTART_SECONDS		5
#define MIN_ROUND_MS		50		/* between the beginnings of two rounds, however often it is woken */
#define MAX_PAUSE_MS		60000	/* of a step that fails */
#define MAX_REPEATS			100		/* of a step in one round */
#define WOKEN_DATABASES		16

/* What is done in a round, in this order. */
typedef struct Step
{
	const char *function;		/* of schema risk, called without an argument */
	const char *due;			/* whether there is anything to do; NULL: the function finds out */
	int			period_ms;		/* not more often; 0: every round */
	bool		repeats;		/* until it returns no row */
	const char *rows;			/* a call for each row of this, in a transaction of its own, with its two columns as arguments */

	TimestampTz not_before;
	int			failures;		/* one after the other */
} Step;

static Step steps[] = {
	/* before a mark liquidates anything */
	{.function = "confirm_held_ticks", .due = "SELECT EXISTS (SELECT FROM ledger.held_tick)"},
	{.function = "trigger_stop_orders", .due = "SELECT EXISTS (SELECT FROM ledger.stop_order WHERE state = 'open')"},
	{.function = "reband", .due = "SELECT EXISTS (SELECT FROM ledger.margin_change WHERE effective_at <= clock_timestamp())"},
	{.function = "reband_due"},
	{.function = "sweep_account", .rows = "SELECT book_id, account_id FROM risk.sweep_order()"},
	{.function = "alert_account", .rows = "SELECT book_id, account_id FROM risk.due_alerts()"},
	{.function = "hold_gainers"},
	{.function = "settle", .repeats = true,
		.due = "SELECT EXISTS (SELECT FROM ledger.open_shortfall) OR EXISTS (SELECT FROM ledger.takeover t"
		" JOIN ledger.position p ON p.book_id = t.book_id AND p.account_id = t.liquidity_account AND p.instrument_id = t.instrument_id"
	" WHERE t.for_adl AND p.qty * t.qty > 0)"},
	{.function = "expire_holds", .due = "SELECT EXISTS (SELECT FROM ledger.open_hold WHERE expires_at <= clock_timestamp())"},
	{.function = "accrue_penalties", .due = "SELECT EXISTS (SELECT FROM ledger.debt WHERE settled_at IS NULL)", .period_ms = 10000},
	{.function = "expire_deposits", .period_ms = 10000},
	{.function = "apply_freezes", .due = "SELECT EXISTS (SELECT FROM ledger.freeze WHERE lifted_at IS NULL)", .period_ms = 10000},
	{.function = "close_accounts", .period_ms = 60000},
	{.function = "watch_funds", .due = "SELECT EXISTS (SELECT FROM ledger.fund_level)", .period_ms = 10000},
	{.function = "fold_slots", .period_ms = 600000},
	{.function = "create_partitions", .due = "SELECT c.relkind = 'p' FROM pg_class c WHERE c.oid = 'ledger.entry'::regclass", .period_ms = 3600000},
	/* last: what the others wrote is told */
	{.function = "relay_events"}
};

/* Whose latch a mark price sets, by database. */
typedef struct WokenWorkers
{
	slock_t		lock;
	struct
	{
		Oid			database;	/* InvalidOid: free */
		PGPROC	   *proc;
	}			workers[WOKEN_DATABASES];
} WokenWorkers;

static WokenWorkers *woken = NULL;	/* NULL: the library is not preloaded */
static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;

static char *worker_database = NULL;
static int	worker_interval = 1000;

/* Whether this transaction has something for the worker. */
static bool wake_at_commit = false;
static bool wakes_at_commit = false;	/* the callback is there */

static void
request_memory(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WokenWorkers)));
}

static void
start_memory(void)
{
	bool		found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	woken = ShmemInitStruct("risk_ext workers", sizeof(WokenWorkers), &found);
	if (!found)
	{
		memset(woken, 0, sizeof(WokenWorkers));
		SpinLockInit(&woken->lock);
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
describe_worker(BackgroundWorker *worker, Oid database)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	strlcpy(worker->bgw_name, "risk_ext worker", BGW_MAXLEN);
	strlcpy(worker->bgw_type, "risk_ext worker", BGW_MAXLEN);
	strlcpy(worker->bgw_library_name, "risk_ext", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "risk_worker_main", sizeof(worker->bgw_function_name));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = RESTART_SECONDS;
	worker->bgw_main_arg = ObjectIdGetDatum(database);
}

/* worker_init: settings, and the worker that comes with the server */
void
worker_init(void)
{
	BackgroundWorker worker;

	DefineCustomStringVariable("risk_ext.worker_database",
							   "Database in which the background worker of risk_ext runs.",
							   "Needs risk_ext in shared_preload_libraries. Empty: none. A worker that runs goes over to another one when the setting changes; where there was none it takes a restart, or risk.start_worker().",
							   &worker_database, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("risk_ext.worker_interval",
							"How long the background worker of risk_ext waits between two rounds.",
							NULL, &worker_interval, 1000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	MarkGUCPrefixReserved("risk_ext");

	if (!process_shared_preload_libraries_in_progress)
		return;
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
	if (worker_database[0] == '\0')
		return;
	describe_worker(&worker, InvalidOid);
	RegisterBackgroundWorker(&worker);
}

/* Ends what is under way, too: the statement is cancelled, and the loop sees why. */
static void
end_worker(SIGNAL_ARGS)
{
	int			saved_errno = errno;

	ShutdownRequestPending = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
	errno = saved_errno;
}

static void
forget_latch(int code pg_attribute_unused(), Datum argument pg_attribute_unused())
{
	SpinLockAcquire(&woken->lock);
	for (int i = 0; i < WOKEN_DATABASES; i++)
		if (woken->workers[i].proc == MyProc)
			woken->workers[i].database = InvalidOid;
	SpinLockRelease(&woken->lock);
}

static void
show_latch(void)
{
	if (woken == NULL)
		return;
	before_shmem_exit(forget_latch, (Datum) 0);
	SpinLockAcquire(&woken->lock);
	for (int i = 0; i < WOKEN_DATABASES; i++)
		if (!OidIsValid(woken->workers[i].database))
		{
			woken->workers[i].database = MyDatabaseId;
			woken->workers[i].proc = MyProc;
			break;
		}
	SpinLockRelease(&woken->lock);
}

/* For as long as the process lives; errors do not release it, as they would a lock of the other kind. */
static bool
take_worker_lock(void)
{
	LOCKTAG		tag = {
		.locktag_field1 = MyDatabaseId,
		.locktag_field2 = ExtensionRelationId,
		.locktag_field3 = WORKER_LOCK,
		.locktag_type = LOCKTAG_USERLOCK,
		.locktag_lockmethodid = USER_LOCKMETHOD
	};

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
tell_step(void *argument)
{
	errcontext("background worker of risk_ext, step %s", (const char *) argument);
}

/*
 * Do something in a transaction of its own, as owner; InvalidOid: as the
 * superuser that a worker begins as.  The owner has the commit, too, with what
 * is deferred to it, and nothing there can become the superuser again.  False
 * when it failed: that is in the log, or it was cancelled because the worker
 * is to end.
 */
static bool
in_transaction(void (*work) (void *), void *argument, const char *name, Oid owner)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			superuser;
	int			security_context;
	ErrorContextCallback context = {error_context_stack, tell_step, unconstify(char *, name)};
	volatile bool done = false;

	/* a cancel that came while nothing was running is meant for nothing */
	if (!ShutdownRequestPending)
		QueryCancelPending = false;
	GetUserIdAndSecContext(&superuser, &security_context);
	PG_TRY();
	{
		error_context_stack = &context;
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(owner))
			SetUserIdAndSecContext(owner, security_context | SECURITY_LOCAL_USERID_CHANGE);
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		work(argument);
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
		SetUserIdAndSecContext(superuser, security_context);
		done = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		if (!ShutdownRequestPending)
			EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	debug_query_string = NULL;
	return done;
}

/* What a look at the database finds. */
typedef struct Found
{
	bool		is_free;		/* of other workers */
	Oid			owner;			/* of the extension; InvalidOid: there is no ledger */
	bool		here[lengthof(steps)];	/* the functions that there are */
} Found;

static void
find_ledger(void *argument)
{
	Found	   *found = argument;
	Datum	   *names;
	int			n;
	bool		isnull;
	Datum		value;

	found->owner = InvalidOid;
	if (SPI_execute("SELECT e.extowner, ARRAY(SELECT p.proname::text FROM pg_catalog.pg_proc p"
					"  WHERE p.pronamespace = e.extnamespace AND p.prokind = 'f')"
					" FROM pg_catalog.pg_extension e"
					" WHERE e.extname = 'risk_ext' AND pg_catalog.to_regclass('ledger.event') IS NOT NULL",
					true, 1) != SPI_OK_SELECT || SPI_processed == 0)
		return;
	found->owner = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	for (int s = 0; s < (int) lengthof(steps); s++)
	{
		found->here[s] = false;
		for (int i = 0; i < n && !found->here[s]; i++)
			found->here[s] = strcmp(TextDatumGetCString(names[i]), steps[s].function) == 0;
	}
}

static void
begin_work(void *argument)
{
	Found	   *found = argument;

	found->is_free = take_worker_lock();
}

/* One call of a step. */
typedef struct Call
{
	const Step *step;
	char		arguments[64];
	char		statement[NAMEDATALEN + 128];
	uint64		rows;
} Call;

/* The rows that a step is called for; kept while it is. */
typedef struct CallRows
{
	const Step *step;
	MemoryContext context;
	int			n;
	int32	   *book_ids;
	int64	   *ids;
} CallRows;

static void
read_rows(void *argument)
{
	CallRows   *rows = argument;
	bool		isnull;

	debug_query_string = rows->step->rows;
	pgstat_report_activity(STATE_RUNNING, rows->step->rows);
	if (SPI_execute(rows->step->rows, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed in step %s", rows->step->function);
	rows->book_ids = MemoryContextAllocHuge(rows->context, sizeof(int32) * Max(SPI_processed, 1));
	rows->ids = MemoryContextAllocHuge(rows->context, sizeof(int64) * Max(SPI_processed, 1));
	rows->n = SPI_processed;
	for (int i = 0; i < rows->n; i++)
	{
		rows->book_ids[i] = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		rows->ids[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
	}
}

static void
call_step(void *argument)
{
	Call	   *call = argument;

	if (call->step->due != NULL)
	{
		bool		isnull;

		if (SPI_execute(call->step->due, true, 1) != SPI_OK_SELECT || SPI_processed == 0 ||
			!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) || isnull)
			return;
	}
	snprintf(call->statement, sizeof(call->statement), "SELECT FROM risk.%s(%s)", call->step->function, call->arguments);
	debug_query_string = call->statement;
	pgstat_report_activity(STATE_RUNNING, call->statement);
	if (SPI_execute(call->statement, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI failed in step %s", call->step->function);
	call->rows = SPI_processed;
}

/* A call for each row, as far as it goes; false when one failed. */
static bool
call_for_rows(Step *step, Oid owner)
{
	CallRows	rows = {.step = step, .context = CurrentMemoryContext};
	bool		good = in_transaction(read_rows, &rows, step->function, owner);

	for (int i = 0; i < rows.n && !ShutdownRequestPending; i++)
	{
		Call		call = {.step = step};

		snprintf(call.arguments, sizeof(call.arguments), "%d, " INT64_FORMAT, rows.book_ids[i], rows.ids[i]);
		good &= in_transaction(call_step, &call, step->function, owner);
	}
	if (rows.book_ids != NULL)
	{
		pfree(rows.book_ids);
		pfree(rows.ids);
	}
	return good;
}

static bool
call_repeatedly(Step *step, Oid owner)
{
	for (int i = 0; i < MAX_REPEATS && !ShutdownRequestPending; i++)
	{
		Call		call = {.step = step};

		if (!in_transaction(call_step, &call, step->function, owner))
			return false;
		if (!step->repeats || call.rows == 0)
			break;
	}
	return true;
}

static void
run_step(Step *step, Oid owner)
{
	int64		pause_ms = step->period_ms;

	if (step->not_before > GetCurrentTimestamp())
		return;
	if (step->rows != NULL ? call_for_rows(step, owner) : call_repeatedly(step, owner))
		step->failures = 0;
	else
	{
		/* twice as long after each failure */
		pause_ms = Min((int64) worker_interval << Min(step->failures, 12), MAX_PAUSE_MS);
		step->failures++;
	}
	step->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Goes over to another database, or ends, when the setting says so. */
static void
follow_settings(bool comes_with_server, const char *database)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (!comes_with_server || strcmp(worker_database, database) == 0)
		return;
	ereport(LOG,
			(errmsg("background worker of risk_ext leaves database \"%s\"", database),
			 errdetail("risk_ext.worker_database is \"%s\" now.", worker_database)));
	proc_exit(worker_database[0] == '\0' ? 0 : 1);
}

/* The settings of the database may be what sessions are to have, and not this. */
static void
set_own_settings(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "off", PGC_SUSET, PGC_S_OVERRIDE);
	/* statements over views look dear to the planner and touch few rows */
	SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("session_replication_role", "origin", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", "risk_ext worker", PGC_USERSET, PGC_S_SESSION);
}

/*
 * risk_worker_main
 *		The process; InvalidOid stands for the database of the setting.
 */
void
risk_worker_main(Datum argument)
{
	Oid			database = DatumGetObjectId(argument);
	bool		comes_with_server = !OidIsValid(database);
	char	   *name;
	Found		found = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, end_worker);
	BackgroundWorkerUnblockSignals();

	name = pstrdup(worker_database);
	if (comes_with_server && name[0] == '\0')
		proc_exit(0);
	if (comes_with_server)
		BackgroundWorkerInitializeConnection(name, NULL, 0);
	else
		BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	set_own_settings();

	if (!in_transaction(begin_work, &found, "begin", InvalidOid))
		proc_exit(1);
	if (!found.is_free)
	{
		ereport(LOG,
				(errmsg("background worker of risk_ext ends: the database has one")));
		proc_exit(0);
	}
	show_latch();
	pgstat_report_activity(STATE_IDLE, NULL);

	while (!ShutdownRequestPending)
	{
		TimestampTz begun = GetCurrentTimestamp();
		int			events;
		long		took;

		if (ConfigReloadPending)
			follow_settings(comes_with_server, name);
		if (!in_transaction(find_ledger, &found, "look", InvalidOid))
			found.owner = InvalidOid;
		/* started for a ledger that is gone */
		if (!OidIsValid(found.owner) && !comes_with_server && !ShutdownRequestPending)
		{
			ereport(LOG,
					(errmsg("background worker of risk_ext ends: there is no ledger any more")));
			proc_exit(0);
		}
		if (OidIsValid(found.owner))
		{
			for (int s = 0; s < (int) lengthof(steps) && !ShutdownRequestPending; s++)
				if (found.here[s])
					run_step(&steps[s], found.owner);
			pgstat_report_stat(false);
		}
		events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, worker_interval, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		took = TimestampDifferenceMilliseconds(begun, GetCurrentTimestamp());
		/* what comes in a moment after what it was woken by is of the same round */
		if ((events & WL_LATCH_SET) && took < MIN_ROUND_MS && !ShutdownRequestPending)
			pg_usleep((MIN_ROUND_MS - took) * 1000L);
	}
	proc_exit(0);
}

/*
 * risk.launch_worker()
 *		Starts a worker in this database, and returns its pid.
 */
Datum
risk_launch_worker(PG_FUNCTION_ARGS)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	pid_t		pid;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("no worker can run during recovery"),
				 errhint("Start it on the primary.")));
	describe_worker(&worker, MyDatabaseId);
	worker.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no background worker can be started"),
				 errdetail("All of the %d that max_worker_processes allows are taken.", max_worker_processes),
				 errhint("Raise max_worker_processes, or end another one.")));
	if (WaitForBackgroundWorkerStartup(handle, &pid) != BGWH_STARTED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the background worker did not start"),
				 errhint("The server's log may say why.")));
	PG_RETURN_INT32(pid);
}

/*
 * risk.end_worker()
 *		Tells the worker of this database to end; its pid, or NULL when there is none.
 */
Datum
risk_end_worker(PG_FUNCTION_ARGS)
{
	int			pid = 0;
	bool		isnull = true;

	/* not of the caller's choice: who may call this need not be allowed to signal anybody */
	SPI_connect();
	if (SPI_execute("SELECT risk.worker_pid()", false, 1) == SPI_OK_SELECT && SPI_processed == 1)
		pid = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	if (isnull || BackendPidGetProc(pid) == NULL || kill(pid, SIGTERM) != 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(pid);
}

static void
wake_worker(XactEvent event, void *argument pg_attribute_unused())
{
	bool		wake = wake_at_commit;
	PGPROC	   *proc = NULL;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	wake_at_commit = false;
	if (!wake || event != XACT_EVENT_COMMIT)
		return;
	SpinLockAcquire(&woken->lock);
	for (int i = 0; i < WOKEN_DATABASES; i++)
		if (woken->workers[i].database == MyDatabaseId)
			proc = woken->workers[i].proc;
	SpinLockRelease(&woken->lock);
	/* one that is gone by now has its place in memory still */
	if (proc != NULL)
		SetLatch(&proc->procLatch);
}

/*
 * risk.wake_worker()
 *		Lets the worker, if there is one, look at once when this transaction commits.
 */
Datum
risk_wake_worker(PG_FUNCTION_ARGS)
{
	if (woken == NULL)
		PG_RETURN_VOID();
	if (!wakes_at_commit)
	{
		RegisterXactCallback(wake_worker, NULL);
		wakes_at_commit = true;
	}
	wake_at_commit = true;
	PG_RETURN_VOID();
}
